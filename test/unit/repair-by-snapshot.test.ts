// Damaged frames that all others have compacted, and that the stream has no more: a snapshot takes the place of the log, and the disk counts as another one (ADR 10, 11).
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { encodeJson, packFrames } from '../../sidecar/core/message.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal, LogStream, Peers, Snapshot, SnapshotStore } from '../../sidecar/ports.ts';
import { repairJournal } from '../../sidecar/repair.ts';
import { fastClock } from '../lib/fast-clock.ts';
import { epochOf, framesAfter, promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { damageFrames, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 10);
let disk: VolatileDisk;
let journal: Journal;

/** With a checkpoint at frame 2, and frames 4 and 5 damaged. */
beforeEach(async () => {
  disk = new VolatileDisk();
  const whole = (await openOn(disk)).journal;
  for (const frame of frames) await whole.write({ frames: [frame] });
  await whole.write({ hardState: promised(epochOf(1)) });
  await whole.makeCheckpoint(2);
  await damageFrames(disk, [4, 5]);
  journal = (await openOn(disk, { scan: false })).journal;
  expect(journal.damage).toHaveLength(1);
});

interface Given {
  readonly snapshot: Snapshot;
  readonly bytes: Uint8Array;
}
/** The state at frame `index` of a log. */
async function stateAt(index: number, log: readonly Frame[] = frames): Promise<Given> {
  const other = (await openOn(new VolatileDisk())).journal;
  await other.write({ frames: log });
  await other.makeCheckpoint(index);
  const snapshot = other.snapshot();
  const bytes = snapshot === null ? null : await other.readSnapshot(snapshot.id, 0, snapshot.bytes);
  if (snapshot === null || bytes === null) throw new Error('no snapshot');
  return { snapshot, bytes };
}

const inNats = (given: Given | null): SnapshotStore => ({
  put: () => Promise.reject(new Error('not asked')),
  latest: async () =>
    given === null ? null : { id: given.snapshot.id, totalBytes: given.bytes.length, chunks: 1, origin: originOf(given.snapshot) },
  read: async () => given?.bytes ?? null,
});
const originOf = ({ head: { clusterId, position } }: Snapshot) => ({ clusterId, position });

/** `m-1` has a snapshot and no frames, `m-2` does not answer. */
const peersWith = (given: Given | null): Peers => ({
  send: () => undefined,
  onMessage: () => undefined,
  onRequest: () => undefined,
  request: async (to, payload) => {
    const { kind } = JSON.parse(Buffer.from(payload).toString()) as { kind: string };
    if (to === 'm-2' || given === null) throw new AppError('no_leader', 'does not answer');
    if (kind === 'frames') return new Uint8Array();
    return kind === 'snapshot' ? encodeJson(given.snapshot) : given.bytes;
  },
});

/** The stream has the frames again when it was read so often. */
function streamAfter(looks: number): LogStream {
  let count = 0;
  const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'));
  return {
    read: (onEvent) => {
      count += 1;
      if (count <= looks) return;
      setImmediate(() => frames.forEach(({ bytes }, at) => onEvent({ kind: 'message', seq: at + 1, bytes: packFrames([bytes]) })));
    },
    lastSeq: notAsked,
    publish: notAsked,
    purge: notAsked,
  };
}

/** Returns how often it was said that somebody has to help. */
async function repair(peers: Peers, snapshots: SnapshotStore, stream = streamAfter(Infinity)): Promise<number> {
  let waits = 0;
  const warn = (_: unknown, message?: string): void => {
    if (message?.includes('nobody has them yet') === true) waits += 1;
  };
  const log = { info: () => undefined, warn };
  const tell = (): void => undefined;
  const clock = fastClock(100);
  await repairJournal({ journal, peers, stream, snapshots, pods: () => ['m-1', 'm-2'], sha256, clock, tell, log });
  return waits;
}

describe('damaged frames that nobody has', () => {
  test.each([
    ['a member', async (given: Given) => repair(peersWith(given), inNats(null))],
    ['NATS', async (given: Given) => repair(peersWith(null), inNats(given))],
  ])('give way to a snapshot of %s, after some tries; the rest is archived, and the disk is another one (I2, I5)', async (_, mend) => {
    expect(await mend(await stateAt(7))).toBe(4);
    const { journal: next } = await openOn(disk);
    expect(next.base.position).toMatchObject({ index: 7, hash: frames[6]?.hash });
    expect(next.hardState).toEqual({ ...promised(epochOf(1)), incarnation: '' });
    expect(await next.archives()).toMatchObject([{ kind: 'diverged', firstUid: 8, lastUid: 10 }]);
  });

  test.each([
    ['that ends before the damage', 0, async () => stateAt(4)],
    ['of another cluster', 0, async () => foreign(await stateAt(7))],
    ['of a lower generation than the promise: a forced start may have given it up', 1, async () => stateAt(7)],
  ])('do not give way to a snapshot %s (I2)', async (_, generation, make) => {
    const { hardState } = journal;
    await journal.write({ hardState: { ...hardState, promise: { ...hardState.promise, generation } } });
    const given = await make();
    // A look is a reading and its end.
    await repair(peersWith(given), inNats(given), streamAfter(16));
    const { journal: next, hashes } = await openOn(disk);
    expect(hashes).toEqual(frames.map(({ hash }) => hash));
    expect(next.hardState.incarnation).toBe('disk');
  });
});

describe('damaged frames that nobody has, and that the own checkpoint holds', () => {
  test('are given up for it, after some tries: the state and all behind it stay, and the disk is the same (I2)', async () => {
    disk = new VolatileDisk();
    const whole = (await openOn(disk)).journal;
    for (const frame of frames) await whole.write({ frames: [frame] });
    await whole.write({ hardState: promised(epochOf(1)) });
    await whole.makeCheckpoint(6);
    await damageFrames(disk, [1, 4, 5]);
    journal = (await openOn(disk, { scan: false })).journal;
    const older = await stateAt(5);
    expect(await repair(peersWith(older), inNats(older))).toBe(4);
    const { journal: next, hashes } = await openOn(disk);
    expect(next.base.position).toMatchObject({ index: 6, uid: 6, hash: frames[5]?.hash });
    expect(hashes).toEqual(frames.slice(6).map(({ hash }) => hash));
    expect(next.hardState.incarnation).toBe('disk');
    expect(await next.archives()).toEqual([]);
    await next.write({ frames: framesAfter(frames[9] ?? null, 2) });
    expect((await openOn(disk)).hashes).toHaveLength(6);
  });
});

function foreign({ snapshot, bytes }: Given): Given {
  return { snapshot: { ...snapshot, head: { ...snapshot.head, clusterId: 'other' } }, bytes };
}
