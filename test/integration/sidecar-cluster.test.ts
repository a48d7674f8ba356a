// Three real sidecar processes on a real nats-server and a real API server: start round, writes, fail-over, outage. The operator is the test.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../lib/eventually.ts';
import { SidecarCluster } from '../lib/sidecar-cluster.ts';

const pods = ['trading-0', 'trading-1', 'trading-2'];
let cluster: SidecarCluster;

beforeAll(async () => {
  cluster = await SidecarCluster.create();
});
afterAll(async () => {
  await cluster.stop();
});

async function put(pod: string, key: string, value: unknown, idempotencyKey: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
  return cluster.call(pod, `/v1/state/${key}`, { method: 'PUT', headers, body: JSON.stringify(value) });
}

/** Every member has applied the same log to its end. */
async function agreed(uid: number): Promise<void> {
  await eventually(async () => {
    const reports = await Promise.all(pods.map((pod) => cluster.status(pod)));
    expect(reports.map(({ acknowledged }) => acknowledged?.uid)).toEqual([uid, uid, uid]);
    expect(new Set(reports.map(({ position }) => position.hash)).size).toBe(1);
  }, 20_000);
}

async function logOf(pod: string): Promise<{ uid: number; idempotencyKey?: string }[]> {
  const found: { uid: number; idempotencyKey?: string }[] = [];
  for (;;) {
    const text = await (await cluster.call(pod, `/v1/changes?fromUid=${String(found.length + 1)}&limit=1000`)).text();
    const page = text.split('\n').filter((line) => line !== '');
    if (page.length === 0) return found;
    found.push(...page.map((line) => JSON.parse(line) as { uid: number; idempotencyKey?: string }));
  }
}

/** Watches from the first change on; what it is sent is added while it is sent. */
async function watchedUids(pod: string, signal: AbortSignal): Promise<number[]> {
  const { body } = await cluster.call(pod, '/v1/watch?fromUid=1', { signal });
  const uids: number[] = [];
  const follow = async (): Promise<void> => {
    let rest = '';
    for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + part).split('\n\n');
      rest = blocks.pop() ?? '';
      uids.push(...blocks.filter((block) => block.includes('event: change')).map((block) => Number(/id: (\d+)/.exec(block)?.[1])));
    }
  };
  follow().catch(() => undefined);
  return uids;
}

/** Writes with retries, as a client does, until `count` were acknowledged. */
async function writeAll(from: number, count: number): Promise<void> {
  for (let at = from; at < from + count; at++) {
    await eventually(async () => {
      const pod = pods[at % pods.length] ?? '';
      expect((await put(pod, `key-${String(at)}`, at, `write-${String(at)}`)).ok).toBe(true);
    }, 30_000);
  }
}

describe('three sidecars', () => {
  test('wait without NATS and say so', async () => {
    for (const pod of pods) cluster.start(pod);
    await cluster.waitPhases({ 'trading-0': 'Waiting', 'trading-1': 'Waiting', 'trading-2': 'Waiting' });
    await eventually(async () => {
      const { reason, message } = await cluster.status('trading-1');
      expect([reason, message]).toEqual(['StreamUnavailable', expect.stringMatching(/NATS is not reachable \(CONNECTION_REFUSED\)/)]);
    });
    expect((await cluster.call('trading-1', '/startupz')).status).toBe(503);
  });

  test('wait for the round, and no gate opens before (I7, K7); without JetStream they say so', async () => {
    await cluster.startNats({ jetStream: false });
    await eventually(async () => {
      for (const pod of pods) expect((await cluster.status(pod)).reason).toBe('StartRound');
    }, 20_000);
    expect((await cluster.call('trading-0', '/startupz')).status).toBe(503);
    await cluster.openRound('trading-0');
    await eventually(async () => {
      for (const pod of pods) {
        const { phase, reason, message } = await cluster.status(pod);
        expect([phase, reason, message]).toEqual(['Waiting', 'StreamUnavailable', expect.stringContaining('JetStream')]);
      }
    }, 20_000);
    expect((await cluster.call('trading-0', '/startupz')).status).toBe(503);
  });

  test('start when the stream can be used', async () => {
    await cluster.stopNats('SIGTERM');
    await cluster.startNats();
    await cluster.waitPhases({ 'trading-0': 'Leading', 'trading-1': 'Following', 'trading-2': 'Following' });
    for (const pod of pods) expect((await cluster.call(pod, '/startupz')).status).toBe(200);
  });

  test('take writes on any member and hold the same log and state (I1); who watches is sent each change once, in order', async () => {
    const ending = new AbortController();
    const watches = pods.map((pod) => watchedUids(pod, ending.signal));
    await writeAll(0, 60);
    await agreed(60);
    for (const uids of await Promise.all(watches))
      await eventually(() => {
        expect(uids).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
      });
    ending.abort();
    const read = await cluster.call('trading-2', '/v1/state/key-41?consistency=linearizable');
    expect(await read.json()).toMatchObject({ key: 'key-41', value: 41 });
  });

  test('lose and double nothing when the leader is killed, and take it back as a follower (I2, I8)', async () => {
    await cluster.kill('trading-0');
    await writeAllOnSurvivors(60, 30);
    cluster.start('trading-0');
    await cluster.waitPhases({ 'trading-0': 'Following' });
    await agreed(90);
    const log = await logOf('trading-0');
    expect(log.map(({ uid }) => uid)).toEqual(Array.from({ length: 90 }, (_, at) => at + 1));
    expect(new Set(log.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(90);
  });

  async function aFollower(): Promise<string> {
    const leader = await cluster.leader();
    return pods.find((pod) => pod !== leader) ?? '';
  }

  async function writeAllOnSurvivors(from: number, count: number): Promise<void> {
    const leader = await cluster.leader();
    for (let at = from; at < from + count; at++) {
      await eventually(async () => {
        expect((await put(leader, `key-${String(at)}`, at, `write-${String(at)}`)).ok).toBe(true);
      }, 30_000);
    }
  }

  test('hand leadership over in order when the leader is told to stop', async () => {
    const before = await cluster.leader();
    await cluster.kill(before, 'SIGTERM');
    // It has given the Lease to its heir before it ended: nobody had to wait for the Lease to run out.
    expect(await cluster.holder()).toMatch(/^trading-\d_/);
    expect(await cluster.holder()).not.toContain(before);
    expect(await cluster.holder()).toContain(await cluster.leader(5000));
    cluster.start(before);
    await cluster.waitPhases({ [before]: 'Following' });
  });

  test('go on after NATS was killed and restarted', async () => {
    await cluster.stopNats('SIGKILL');
    await cluster.startNats();
    await cluster.leader();
    await writeAll(90, 30);
    await agreed(120);
  });

  test('repair a journal that was damaged while its member was down, say what it waits for, and count it as before (I2)', async () => {
    const pod = await aFollower();
    const { incarnation } = await cluster.status(pod);
    await cluster.kill(pod);
    const log = join(cluster.directory, pod, 'log');
    const [segment = ''] = await readdir(log);
    const bytes = await readFile(join(log, segment));
    const at = bytes.indexOf('"index":60,');
    expect(at).toBeGreaterThan(0);
    bytes[at] = 0;
    await writeFile(join(log, segment), bytes);
    await cluster.stopNats('SIGKILL');
    cluster.start(pod);
    await eventually(async () => {
      expect(await cluster.waiting(pod)).toMatchObject({
        podUid: `uid-${pod}`,
        reason: 'JournalDamaged',
        message: expect.stringContaining(segment),
      });
    }, 30_000);
    await cluster.startNats();
    await cluster.waitPhases({ [pod]: 'Following' });
    expect(await readFile(join(cluster.directory, `${pod}.log`), 'utf8')).toContain('damaged frames of the journal are repaired');
    await eventually(async () => {
      expect(await cluster.waiting(pod)).toBeNull();
    });
    expect((await cluster.status(pod)).incarnation).toBe(incarnation);
    await agreed(120);
  });

  test('take a member in again whose volume was lost, under a new identity of its disk (I2)', async () => {
    const pod = await aFollower();
    const { incarnation } = await cluster.status(pod);
    await cluster.kill(pod);
    await rm(join(cluster.directory, pod), { recursive: true });
    cluster.start(pod);
    await eventually(async () => {
      const report = await cluster.status(pod);
      expect([report.phase, report.voter]).toEqual(['Following', true]);
      expect(report.incarnation).not.toBe(incarnation);
    }, 30_000);
    await agreed(120);
  });

  test('come back whole after all were killed at once (I2, K6)', async () => {
    await Promise.all(pods.map((pod) => cluster.kill(pod)));
    for (const pod of pods) cluster.start(pod);
    await eventually(async () => {
      for (const pod of pods) expect((await cluster.status(pod)).reason).toBe('StartRound');
    }, 30_000);
    await cluster.openRound('trading-1');
    await cluster.waitPhases({ 'trading-1': 'Leading' });
    await writeAll(120, 10);
    await agreed(130);
  });
});
