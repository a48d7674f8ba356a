// The loop around the core: nobody who asked stays without an answer, and whoever listens hears of what can be read.
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../lib/eventually.ts';
import { MemoryCluster } from '../lib/memory-cluster.ts';

const put = (value: string) => ({ operations: [{ put: { key: 'key', value } }] });
let cluster: MemoryCluster;
afterEach(() => {
  cluster.stop();
});

test('listeners hear of a change when it can be read, which on a slow disk is after it was acknowledged', async () => {
  cluster = await MemoryCluster.running(3);
  const { journal, process } = cluster.sidecar('m-0');
  journal.hold();
  expect((await process.submit(put('value'))).uid).toBe(1);
  expect(await process.changes(1, 10)).toEqual([]);
  let rings = 0;
  process.onChange(() => (rings += 1));
  journal.release();
  await eventually(async () => {
    expect(rings).toBeGreaterThan(0);
    expect((await process.changes(1, 10)).map(({ uid }) => uid)).toEqual([1]);
  });
});

describe('a disk that is full', () => {
  test('answers everybody, those too who ask while the journal is read again, and once there is room writes go on', async () => {
    cluster = await MemoryCluster.running(1);
    const { disk, process, runtime } = cluster.sidecar('m-0');
    disk.full = true;
    await expect(process.submit(put('lost'))).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect(runtime.member.reloading).toBe(true);
    await expect(process.submit(put('refused'))).rejects.toMatchObject({ code: 'disk_full' });
    await expect(process.waitFor({ kind: 'linearizable' })).rejects.toMatchObject({ code: 'no_leader' });
    disk.full = false;
    await eventually(async () => {
      expect((await process.submit(put('kept'))).uid).toBeGreaterThan(0);
    }, 4500);
  });

  test('takes back nothing that could be read, however often the journal is read again', async () => {
    cluster = await MemoryCluster.running(1);
    const { disk, process, runtime } = cluster.sidecar('m-0');
    const { uid } = await process.submit(put('kept'));
    const before = runtime.member;
    disk.full = true;
    await expect(process.submit(put('lost'))).rejects.toMatchObject({ code: 'outcome_unknown' });
    await eventually(() => {
      expect(runtime.member).not.toBe(before);
    }, 2500);
    expect(process.get('key')).toMatchObject({ value: 'kept', uid });
    expect(process.uid).toBe(uid);
  });

  test('does not make the process forget that it was in sync, nor that it stops', async () => {
    cluster = await MemoryCluster.running(1);
    const { disk, process, runtime } = cluster.sidecar('m-0');
    const before = runtime.member;
    disk.full = true;
    await expect(process.submit(put('lost'))).rejects.toMatchObject({ code: 'outcome_unknown' });
    runtime.handOver();
    disk.full = false;
    await eventually(() => {
      expect(runtime.member).not.toBe(before);
    }, 2500);
    expect(process.started()).toBe(true);
    expect(process.report().phase).toBe('Stopping');
  });

  test('refuses all that waits behind the step that found no room, and is reloaded from once', async () => {
    cluster = await MemoryCluster.running(3);
    const { disk, journal, runtime, process } = cluster.sidecar('m-0');
    journal.hold();
    for (const value of ['a', 'b', 'c']) await process.submit(put(value));
    const before = runtime.member;
    disk.full = true;
    journal.release();
    await eventually(() => {
      expect(before.reloading).toBe(true);
    });
    disk.full = false;
    await eventually(() => {
      expect(runtime.member).not.toBe(before);
    }, 2500);
    const after = runtime.member;
    await eventually(() => {
      expect(runtime.member.log.length).toBe(cluster.sidecar('m-1').runtime.member.log.length);
    }, 2500);
    expect(runtime.member).toBe(after);
    expect(cluster.warnings.filter((warning) => warning === 'reloads from the journal')).toHaveLength(1);
  });
});
