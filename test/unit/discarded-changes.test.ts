// What a member gave up is told in its report as soon as it is archived, and by every process after that.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Epoch } from '../../common/position.ts';
import { DiscardedChanges } from '../../sidecar/discarded-changes.ts';
import { encodeFrame, type Change, type Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Archive, ArchivedCopy, ArchivedTail } from '../../sidecar/ports.ts';
import { eventually } from '../lib/eventually.ts';
import { MemoryCluster } from '../lib/memory-cluster.ts';
import { emptyMemoryDisk, type MemoryDisk } from '../lib/memory-journal.ts';
import { epochOf, promised, put } from '../lib/sample-frames.ts';

const tail = (epoch: string, firstUid: number, lastUid: number): ArchivedTail => {
  const id = `diverged-${epoch}-${String(firstUid)}-${String(lastUid)}-aaaaaaaa`;
  return { kind: 'diverged', id, firstUid, lastUid, changes: lastUid - firstUid + 1, sha256: 's' };
};
const kept = (kind: ArchivedCopy['kind'], timeMs: number): ArchivedCopy => {
  return { kind, id: `${kind}-${String(timeMs)}`, timeMs, uid: 7, sha256: 's' };
};
const newestOf = (...archives: Archive[]): string[] => {
  const discarded = new DiscardedChanges();
  discarded.add(archives);
  return discarded.newest.map(({ id }) => id);
};

describe('the discarded changes of a report', () => {
  test('are those of the highest epochs, and the latest states; copies are none', () => {
    const tails = [tail('0.9', 1, 3), tail('0.10', 2, 2), tail('1.2', 1, 1), tail('0.11', 5, 6), tail('0.11', 5, 5)];
    expect(newestOf(...tails, kept('state', 20), kept('copy', 30), kept('state', 10))).toEqual([
      'diverged-0.10-2-2-aaaaaaaa',
      'diverged-0.11-5-5-aaaaaaaa',
      'diverged-0.11-5-6-aaaaaaaa',
      'diverged-1.2-1-1-aaaaaaaa',
      'state-10',
      'state-20',
    ]);
  });

  test('are news once, those too that are no longer among the newest', () => {
    const discarded = new DiscardedChanges();
    const tails = [1, 2, 3, 4, 5, 6].map((number) => tail(`0.${String(number)}`, 1, 1));
    expect(discarded.add(tails)).toEqual(tails);
    expect(discarded.newest).toHaveLength(4);
    const before = discarded.newest;
    expect(discarded.add([...tails, kept('copy', 1)])).toEqual([]);
    expect(discarded.newest).toBe(before);
  });
});

describe('a member', () => {
  let cluster: MemoryCluster;
  afterEach(() => cluster.stop());

  const configuration = ['m-0', 'm-1', 'm-2'].map((pod) => ({ pod, incarnation: 'disk' }));
  function frame(previous: Frame | null, epoch: Epoch, changes: readonly Change[], firstUid: number): Frame {
    const index = (previous?.index ?? 0) + 1;
    const claim = changes.length === 0;
    return encodeFrame(
      {
        version: 1,
        kind: claim ? 'claim' : 'data',
        clusterId: 'cluster',
        epoch,
        index,
        firstUid,
        prevHash: previous?.hash ?? '',
        timeMs: 1_700_000_000_000,
        acknowledgedIndex: index - 1,
        changes,
        ...(index === 1 ? { configuration } : {}),
      },
      sha256,
    );
  }
  const diskWith = (...frames: Frame[]): MemoryDisk => ({
    ...emptyMemoryDisk(),
    hardState: promised(frames.at(-1)?.epoch ?? epochOf(1)),
    frames: frames,
  });

  test('that joins with a log that has parted tells what it archived (K8, I5)', async () => {
    const first = frame(null, epochOf(1), [], 1);
    const claim = frame(first, epochOf(3), [], 1);
    const whole = [first, claim, frame(claim, epochOf(3), [put('a', '1'), put('b', '2')], 1)];
    const own = frame(first, epochOf(2), [], 1);
    const parted = [first, own, frame(own, epochOf(2), [put('mine', '1')], 1)];
    cluster = await MemoryCluster.running(3, { 'm-0': diskWith(...whole), 'm-1': diskWith(...whole), 'm-2': diskWith(...parted) });
    const { reported, process } = cluster.sidecar('m-2');
    const discarded = [{ id: expect.stringMatching(/^diverged-0\.2-1-1-/), kind: 'diverged', firstUid: 1, lastUid: 1, changes: 1 }];
    await eventually(() => {
      expect(reported()?.discarded).toEqual(discarded);
    });
    expect(process.report().discarded).toEqual(discarded);
    expect(cluster.sidecar('m-1').process.report()).not.toHaveProperty('discarded');
    for await (const { uid, change } of process.archivedChanges(reported()?.discarded?.[0]?.id ?? '')) {
      expect(uid).toBe(1);
      expect(await process.submit(change)).toMatchObject({ uid: 3, duplicate: false });
    }
    expect(cluster.sidecar('m-0').process.get('mine')).toMatchObject({ value: '1', uid: 3 });
  });

  test('knows after a restart what it archived before (I5)', async () => {
    cluster = await MemoryCluster.running(1, { 'm-0': { ...emptyMemoryDisk(), archives: [tail('0.2', 3, 4), kept('state', 5)] } });
    expect(cluster.sidecar('m-0').reported()?.discarded).toEqual([
      { id: tail('0.2', 3, 4).id, kind: 'diverged', firstUid: 3, lastUid: 4, changes: 2 },
      { id: 'state-5', kind: 'state', lastUid: 7 },
    ]);
  });
});
