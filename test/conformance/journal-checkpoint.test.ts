// The contract of checkpoints, compaction, snapshots and copies, held by the journal on a real disk and by the one in memory.
import { afterEach, describe, expect, test } from '@jest/globals';
import { emptyPosition } from '../../common/position.ts';
import { lastUid, type Frame } from '../../sidecar/core/frame.ts';
import { advanceHead, type SnapshotHead } from '../../sidecar/core/snapshot.ts';
import type { Journal, Snapshot } from '../../sidecar/ports.ts';
import { memoryVolume, realVolume, type Volume } from '../lib/journal-volume.ts';
import { collect, epochOf, framesAfter } from '../lib/sample-frames.ts';

const everything = 1 << 30;
const hashesOf = (frames: readonly Frame[]): string[] => frames.map(({ hash }) => hash);
const headOf = (frames: readonly Frame[]): SnapshotHead | null => frames.reduce<SnapshotHead | null>(advanceHead, null);
const keysOf = async (journal: Journal): Promise<string[]> =>
  (await collect(journal.checkpointState())).map((record) => (record.kind === 'entry' ? record.key : record.idempotencyKey));
const keysIn = (frames: readonly Frame[]): string[] => frames.map(({ index }) => `a${String(index)}`).sort();

describe.each([
  ['on disk', realVolume],
  ['in memory', memoryVolume],
])('a journal %s', (_, makeVolume) => {
  const volumes: Volume[] = [];
  const journals: Journal[] = [];
  const newVolume = async (): Promise<Volume> => {
    const volume = await makeVolume();
    volumes.push(volume);
    return volume;
  };
  async function open(volume: Volume): Promise<{ journal: Journal; hashes: string[] }> {
    const journal = await volume.open();
    journals.push(journal);
    return { journal, hashes: (await collect(journal.recovered())).map(({ hash }) => hash) };
  }
  afterEach(async () => {
    for (const journal of journals.splice(0)) await journal.close();
    for (const volume of volumes.splice(0)) await volume.drop();
  });

  const frames = [...framesAfter(null, 30), ...framesAfter(framesAfter(null, 30)[29] ?? null, 10, 'a', epochOf(2))];

  async function filled(): Promise<{ volume: Volume; journal: Journal }> {
    const volume = await newVolume();
    const { journal } = await open(volume);
    for (const frame of frames) await journal.write({ frames: [frame] });
    return { volume, journal };
  }

  async function transfer(from: Journal, to: Journal, pieceBytes = 300): Promise<Snapshot> {
    const snapshot = from.snapshot();
    if (snapshot === null) throw new Error('no snapshot');
    const { id, bytes } = snapshot;
    for (let offset = 0; offset < bytes;) {
      const chunk = await from.readSnapshot(id, offset, pieceBytes);
      if (chunk === null) throw new Error('the snapshot is gone');
      offset = await to.receiveSnapshot(id, bytes, offset, chunk);
    }
    return snapshot;
  }

  test('has no checkpoint, no snapshot and an empty base at first', async () => {
    const { journal } = await open(await newVolume());
    expect(journal).toMatchObject({ checkpoint: null, base: { position: emptyPosition, history: [] }, damage: [] });
    expect(await collect(journal.checkpointState())).toEqual([]);
    expect([journal.snapshot(), journal.receivedSnapshot()]).toEqual([null, null]);
    expect(await journal.compact()).toBe(1);
    expect(await journal.archiveCopy(1, { count: 1, ageMs: 0 })).toBeNull();
  });

  test('makes checkpoints, finds the newest at the next start, and keeps the log', async () => {
    const { volume, journal } = await filled();
    expect(await journal.makeCheckpoint(10)).toEqual(headOf(frames.slice(0, 10)));
    expect(await journal.makeCheckpoint(35)).toEqual(headOf(frames.slice(0, 35)));
    await journal.close();
    const again = await open(volume);
    expect(again.journal.checkpoint).toEqual(headOf(frames.slice(0, 35)));
    expect(await keysOf(again.journal)).toEqual(keysIn(frames.slice(0, 35)));
    expect(again.hashes).toEqual(hashesOf(frames));
  });

  test('is compacted up to the older of two checkpoints, and not with one', async () => {
    const { volume, journal } = await filled();
    await journal.makeCheckpoint(20);
    expect(await journal.compact()).toBe(1);
    await journal.makeCheckpoint(33);
    const first = await journal.compact();
    expect(first).toBeGreaterThan(1);
    expect(first).toBeLessThanOrEqual(21);
    const base = { position: headOf(frames.slice(0, first - 1))?.position, history: [{ epoch: epochOf(1), fromIndex: 1 }] };
    expect(journal.base).toEqual(base);
    await expect(journal.read(first - 1, everything)).rejects.toMatchObject({ code: 'compacted' });
    expect(await journal.read(first, everything)).toEqual(frames.slice(first - 1));
    await journal.close();
    const again = await open(volume);
    expect(again.hashes).toEqual(hashesOf(frames.slice(first - 1)));
    expect(again.journal.base).toEqual(base);
    await again.journal.write({ frames: framesAfter(frames[39] ?? null, 1, 'more') });
  });

  test('falls back to the older checkpoint when it is rewound before the newer one, and goes on', async () => {
    const { volume, journal } = await filled();
    await journal.makeCheckpoint(20);
    await journal.makeCheckpoint(33);
    const first = await journal.compact();
    const tail = await journal.write({ truncateTo: 25 });
    expect(tail).toMatchObject({ firstUid: 26, lastUid: 40 });
    expect(journal.checkpoint?.position.index).toBe(20);
    const other = framesAfter(frames[24] ?? null, 3, 'b', epochOf(3));
    await journal.write({ frames: other });
    await journal.close();
    const again = await open(volume);
    expect(again.journal.checkpoint?.position.index).toBe(20);
    expect(again.hashes).toEqual(hashesOf([...frames.slice(first - 1, 25), ...other]));
  });

  test('is empty when it is rewound to its beginning, compacted or not, and goes on; all that it had is archived (I5)', async () => {
    const { volume, journal } = await filled();
    await journal.makeCheckpoint(20);
    await journal.makeCheckpoint(33);
    const first = await journal.compact();
    const tail = await journal.write({ truncateTo: 0 });
    expect(tail).toMatchObject({ firstUid: first, lastUid: 40 });
    expect(journal).toMatchObject({ checkpoint: null, base: { position: emptyPosition, history: [] } });
    expect(journal.snapshot()).toBeNull();
    const other = framesAfter(null, 3, 'b', epochOf(3));
    await journal.write({ frames: other });
    await journal.makeCheckpoint(2);
    await journal.close();
    const again = await open(volume);
    expect(again.journal.checkpoint).toEqual(headOf(other.slice(0, 2)));
    expect(again.hashes).toEqual(hashesOf(other));
  });

  test('gives a snapshot that takes the place of an empty log', async () => {
    const { journal } = await filled();
    await journal.makeCheckpoint(33);
    const volume = await newVolume();
    const { journal: behind } = await open(volume);
    const { id, head } = await transfer(journal, behind);
    expect(await behind.installSnapshot(id)).toBeNull();
    expect(behind.receivedSnapshot()).toBeNull();
    expect(behind).toMatchObject({ checkpoint: head, base: { position: head.position, history: head.history } });
    expect(await keysOf(behind)).toEqual(keysIn(frames.slice(0, 33)));
    await behind.write({ frames: frames.slice(33, 36) });
    await behind.close();
    const again = await open(volume);
    expect(again.journal.checkpoint).toEqual(head);
    expect(again.hashes).toEqual(hashesOf(frames.slice(33, 36)));
    expect(behind.snapshot()).toEqual(journal.snapshot());
  });

  test('archives what a snapshot does not hold, and only that (I5)', async () => {
    const { journal } = await filled();
    await journal.makeCheckpoint(33);
    const { journal: parted } = await open(await newVolume());
    const own = framesAfter(frames[24] ?? null, 4, 'b', epochOf(1, 'other'));
    await parted.write({ frames: [...frames.slice(0, 25), ...own] });
    const tail = await parted.installSnapshot((await transfer(journal, parted)).id);
    expect(tail).toMatchObject({ firstUid: 26, lastUid: 29, changes: 4 });
    const { journal: longer } = await open(await newVolume());
    await longer.write({ frames });
    expect(await longer.installSnapshot((await transfer(journal, longer)).id)).toMatchObject({ firstUid: 34, lastUid: 40 });
    expect(await parted.archives()).toEqual([tail]);
  });

  test('goes on with a snapshot after a restart, and drops it for another', async () => {
    const { journal } = await filled();
    await journal.makeCheckpoint(20);
    const { id, bytes } = journal.snapshot() ?? { id: '', bytes: 0 };
    const volume = await newVolume();
    const { journal: behind } = await open(volume);
    const chunk = (await journal.readSnapshot(id, 0, 100)) ?? new Uint8Array();
    expect(await behind.receiveSnapshot(id, bytes, 0, chunk)).toBe(100);
    expect(await behind.receiveSnapshot(id, bytes, 0, chunk)).toBe(100);
    await behind.close();
    const { journal: again } = await open(volume);
    expect(again.receivedSnapshot()).toEqual({ id, bytes: 100 });
    await expect(again.receiveSnapshot(id, 150, 100, chunk)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(again.installSnapshot(id)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(again.receivedSnapshot()).toBeNull();
    await journal.makeCheckpoint(33);
    expect(await again.receiveSnapshot(id, bytes, 0, chunk)).toBe(100);
    const newer = await transfer(journal, again);
    expect(again.receivedSnapshot()).toEqual({ id: newer.id, bytes: newer.bytes });
    // It was the newest when the transfer began, and is still read.
    expect(await journal.readSnapshot(id, 0, 100)).toEqual(chunk);
    await journal.makeCheckpoint(40);
    expect(await journal.readSnapshot(id, 0, 100)).toBeNull();
  });

  test('finds no room for checkpoints, snapshots and copies on a full disk, and goes on when there is', async () => {
    const { volume, journal } = await filled();
    await journal.makeCheckpoint(20);
    const { id, bytes } = journal.snapshot() ?? { id: '', bytes: 0 };
    volume.setFull(true);
    await expect(journal.makeCheckpoint(30)).rejects.toMatchObject({ code: 'disk_full' });
    await expect(journal.archiveCopy(1, { count: 1, ageMs: 0 })).rejects.toMatchObject({ code: 'disk_full' });
    const chunk = (await journal.readSnapshot(id, 0, 100)) ?? new Uint8Array();
    await expect(journal.receiveSnapshot(id, bytes, 0, chunk)).rejects.toMatchObject({ code: 'disk_full' });
    expect(journal.checkpoint?.position.index).toBe(20);
    expect(await journal.archives()).toEqual([]);
    expect(await journal.read(1, everything)).toEqual(frames);
    volume.setFull(false);
    expect((await journal.makeCheckpoint(30)).position.index).toBe(30);
    expect(await journal.receiveSnapshot(id, bytes, 0, chunk)).toBe(100);
    expect(await journal.archiveCopy(1, { count: 1, ageMs: 0 })).not.toBeNull();
  });

  test('copies the newest state for the archive, and keeps copies by count and age', async () => {
    const { journal } = await filled();
    const uid = lastUid(frames[39] ?? (frames[0] as Frame));
    expect(await journal.archiveCopy(1000, { count: 3, ageMs: 5000 })).toMatchObject({ kind: 'copy', timeMs: 1000, uid });
    await journal.makeCheckpoint(33);
    for (const timeMs of [2000, 3000, 4000]) await journal.archiveCopy(timeMs, { count: 3, ageMs: 5000 });
    const times = async (): Promise<unknown[]> =>
      (await journal.archives()).map((each) => (each.kind === 'copy' ? [each.timeMs, each.uid] : []));
    expect(await times()).toEqual([2000, 3000, 4000].map((timeMs) => [timeMs, 33]));
    await journal.archiveCopy(8500, { count: 3, ageMs: 5000 });
    expect(await times()).toEqual([
      [4000, 33],
      [8500, 33],
    ]);
    await journal.archiveCopy(99_000, { count: 0, ageMs: 0 });
    expect(await times()).toEqual([[99_000, 33]]);
  });
});
