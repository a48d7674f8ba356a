// Three real sidecars with limits so small that checkpoints, snapshots in NATS and purges come soon: what is left when every volume is lost rebuilds the cluster.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { snapshotStreamName, streamName } from '../../common/names.ts';
import { eventually } from '../lib/eventually.ts';
import { SidecarCluster } from '../lib/sidecar-cluster.ts';

const pods = ['trading-0', 'trading-1', 'trading-2'];
const small = { CC_SEGMENT_BYTES: '4096', CC_CHECKPOINT_BYTES: '20000', CC_UPKEEP_MS: '500', CC_RETAINED_FRAMES: '5' };
const changes = 150;
let cluster: SidecarCluster;

beforeAll(async () => {
  cluster = await SidecarCluster.create(3, small);
});
afterAll(async () => {
  await cluster.stop();
});

async function write(from: number, count: number): Promise<void> {
  const leader = await cluster.leader();
  for (let at = from; at < from + count; at += 1) {
    const headers = { 'content-type': 'application/json', 'idempotency-key': `write-${String(at)}` };
    const body = JSON.stringify({ at, text: 'v'.repeat(300) });
    expect((await cluster.call(leader, `/v1/state/key-${String(at % 40)}`, { method: 'PUT', headers, body })).ok).toBe(true);
  }
}

async function agreed(uid: number): Promise<void> {
  await eventually(async () => {
    const reports = await Promise.all(pods.map((pod) => cluster.status(pod)));
    expect(reports.map(({ acknowledged }) => acknowledged?.uid)).toEqual([uid, uid, uid]);
    expect(new Set(reports.map(({ position }) => position.hash)).size).toBe(1);
  }, 20_000);
}

async function startAll(): Promise<void> {
  for (const pod of pods) cluster.start(pod);
  await eventually(async () => {
    for (const pod of pods) expect((await cluster.status(pod)).reason).toBe('StartRound');
  }, 30_000);
}

describe('a cluster whose log grows', () => {
  test('stores a snapshot in NATS and purges its stream', async () => {
    await cluster.startNats();
    await startAll();
    await cluster.openRound('trading-0');
    await cluster.waitPhases({ 'trading-0': 'Leading', 'trading-1': 'Following', 'trading-2': 'Following' });
    await write(0, changes);
    await agreed(changes);
    await eventually(async () => {
      expect(await cluster.stream(snapshotStreamName('default', 'trading')).messages()).toBeGreaterThan(1);
      expect(await cluster.stream(streamName('default', 'trading')).firstSeq()).toBeGreaterThan(20);
    }, 20_000);
  });

  test('is rebuilt whole from both when every volume is lost (I2, I8)', async () => {
    await Promise.all(pods.map((pod) => cluster.kill(pod)));
    for (const pod of pods) await rm(join(cluster.directory, pod), { recursive: true });
    await startAll();
    await cluster.openRound('trading-1', { generation: 1, claim: 'recovery' });
    await cluster.waitPhases({ 'trading-0': 'Following', 'trading-1': 'Leading', 'trading-2': 'Following' });
    await agreed(changes);
    for (let at = changes - 40; at < changes; at += 1) {
      const found = await cluster.call('trading-2', `/v1/state/key-${String(at % 40)}`);
      expect(await found.json()).toMatchObject({ value: { at }, uid: at + 1 });
    }
    expect(await readFile(join(cluster.directory, 'trading-1.log'), 'utf8')).toContain('"from":"NATS"');
    // Sent once more, it is the change that it was.
    await write(changes - 1, 1);
    await write(changes, 10);
    await agreed(changes + 10);
  });
});
