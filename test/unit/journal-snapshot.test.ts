// Snapshots that are received: what is not a whole, sound checkpoint never takes the place of the log, and what the log had alone is kept (I5).
import { gunzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AppError } from '../../common/errors.ts';
import { encodeCheckpoint, inspectCheckpoint, readRecords } from '../../sidecar/journal/checkpoint-file.ts';
import type { Disk } from '../../sidecar/journal/disk.ts';
import type { MemberConfig } from '../../sidecar/core/state.ts';
import type { StateRecord } from '../../sidecar/core/snapshot.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Archive, Journal } from '../../sidecar/ports.ts';
import { renewMember } from '../../sidecar/recovery.ts';
import { faultyDisk, noFaults } from '../lib/faulty-disk.ts';
import { decodedSnapshot } from '../lib/memory-checkpoint.ts';
import { collect, epochOf, framesAfter, listed } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { archiveDirectory, checkpointDirectory, logDirectory, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 9);
const memberConfig: MemberConfig = {
  pod: 'm-0',
  podUid: 'uid',
  session: 'session',
  kind: 'member',
  durability: 'Quorum',
  divergedMember: 'Archive',
  checkpointBytes: 1_000_000,
  upkeepMs: 120_000,
  retainedFrames: 10_000,
  orphanFrames: 4096,
  timings: { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
  sha256,
};
type Told = (archives: readonly Archive[]) => void;
let bytes: Buffer;
let id: string;

async function snapshotOf(journal: Journal): Promise<{ id: string; bytes: Buffer }> {
  const snapshot = journal.snapshot() ?? { id: '', bytes: 0 };
  return { id: snapshot.id, bytes: Buffer.from((await journal.readSnapshot(snapshot.id, 0, snapshot.bytes)) ?? []) };
}

beforeEach(async () => {
  const { journal } = await openOn(new VolatileDisk());
  await journal.write({ frames });
  await journal.makeCheckpoint(9);
  ({ id, bytes } = await snapshotOf(journal));
});

const outcome = async (content: Buffer): Promise<string> => {
  try {
    await decodedSnapshot(content);
    return 'sound';
  } catch (error) {
    if (error instanceof AppError) return error.detail;
    throw error;
  }
};

describe('the bytes of a checkpoint', () => {
  test('are refused by the offset when any of them is another, missing, or one too many', async () => {
    expect(await outcome(bytes)).toBe('sound');
    for (let at = 0; at < bytes.length; at += 1) {
      const other = Buffer.from(bytes);
      other.writeUInt8(other.readUInt8(at) ^ (1 << (at % 8)), at);
      expect(await outcome(other)).toContain('/snapshot at offset ');
      expect(await outcome(bytes.subarray(0, at))).toContain('/snapshot at offset ');
    }
    expect(await outcome(Buffer.concat([bytes, Buffer.from([0])]))).toContain('goes on');
  });

  test('at random are refused, whatever they claim', async () => {
    const garbage = fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each));
    const tail = fc
      .record({ keep: fc.nat({ max: bytes.length }), garbage })
      .map((each) => Buffer.concat([bytes.subarray(0, each.keep), each.garbage]));
    await fc.assert(
      fc.asyncProperty(fc.oneof(garbage, tail), async (each) => {
        if (!each.equals(bytes)) expect(await outcome(each)).toContain('/snapshot at offset ');
      }),
    );
  });

  test('of a later format are refused as such', async () => {
    const later = Buffer.from(bytes);
    later.writeUInt32BE(2, 8);
    const { crc32 } = await import('node:zlib');
    later.writeUInt32BE(crc32(later.subarray(0, 12)), 12);
    await expect(decodedSnapshot(later)).rejects.toMatchObject({ code: 'journal_version' });
  });

  test.each<[string, StateRecord[]]>([
    ['twice the same key', [entry('a', 1), entry('a', 2)]],
    ['keys out of order', [entry('b', 1), entry('a', 2)]],
    ['an entry behind a receipt', [receipt('k', 1), entry('a', 2)]],
    ['receipts out of order', [receipt('k', 2), receipt('l', 1)]],
    ['a UID beyond the position', [entry('a', 10)]],
  ])('with a sound sum and %s are refused', async (_, records) => {
    const { head } = await decodedSnapshot(bytes);
    const pieces = await collect(encodeCheckpoint(head, listed(records)));
    expect(await outcome(Buffer.concat(pieces))).toMatch(/not in its place|wrong place/);
  });

  test('are refused when the disk gives those of another one, as sound, in their place', async () => {
    const [disk, path] = [new VolatileDisk(), '/snapshot'];
    await disk.makeDirectory('/');
    await disk.open(path, 'create');
    disk.replaceContent(path, bytes);
    const file = await inspectCheckpoint(disk, path);
    const { head, records } = await decodedSnapshot(bytes);
    const others = records.map((record) => (record.kind === 'entry' ? { ...record, value: 'another' } : record));
    disk.replaceContent(path, Buffer.concat(await collect(encodeCheckpoint(head, listed(others)))));
    await expect(collect(readRecords(disk, file))).rejects.toMatchObject({ code: 'journal_corrupt' });
  });
});

function entry(key: string, uid: number): StateRecord {
  return { kind: 'entry', key, value: null, uid };
}
function receipt(idempotencyKey: string, uid: number): StateRecord {
  return { kind: 'receipt', idempotencyKey, uid, epoch: 1 };
}

describe('a snapshot that is received', () => {
  test('and is another than its id says is dropped, the log stays', async () => {
    const { journal } = await openOn(new VolatileDisk());
    await journal.write({ frames: frames.slice(0, 3) });
    const wrong = Buffer.from(bytes);
    wrong.writeUInt8(wrong.readUInt8(100) ^ 1, 100);
    for (const [name, content] of [
      [id, wrong],
      [sha256('another'), bytes],
    ] as const) {
      await journal.receiveSnapshot(name, content.length, 0, content);
      await expect(journal.installSnapshot(name)).rejects.toMatchObject({ code: 'journal_corrupt' });
      expect(journal.receivedSnapshot()).toBeNull();
    }
    expect(await journal.read(1, 1 << 20)).toEqual(frames.slice(0, 3));
  });

  test('has a name that is no path, and a size that is bounded (I10)', async () => {
    const { journal } = await openOn(new VolatileDisk());
    const refused = { code: 'invalid_request' };
    await expect(journal.receiveSnapshot('../promise', 10, 0, new Uint8Array(1))).rejects.toMatchObject(refused);
    await expect(journal.receiveSnapshot(id, 1e15, 0, new Uint8Array(1))).rejects.toMatchObject(refused);
    await expect(journal.receiveSnapshot(id, 10, 0, new Uint8Array(11))).rejects.toMatchObject(refused);
    expect(journal.receivedSnapshot()).toBeNull();
  });

  test('waits for the writes before it, and the writes behind it go after it', async () => {
    const { journal } = await openOn(new VolatileDisk());
    await journal.receiveSnapshot(id, bytes.length, 0, bytes);
    const before = journal.write({ frames: frames.slice(0, 2) });
    const installed = journal.installSnapshot(id);
    await Promise.all([before, installed]);
    await journal.write({ frames: framesAfter(frames[8] ?? null, 1) });
    expect(journal.base.position.index).toBe(9);
  });

  test.each([
    ['the archive', 1],
    ['the intent', 3],
  ])('is not installed when %s finds no room: log kept, no archive left', async (_, failingRename) => {
    const [faults, inner] = [noFaults(), new VolatileDisk()];
    const { journal } = await openOn(faultyDisk(inner, faults));
    const own = framesAfter(null, 3, 'own', epochOf(1, 'other'));
    await journal.write({ frames: own });
    await journal.receiveSnapshot(id, bytes.length, 0, bytes);
    faults.failingRename = failingRename;
    await expect(journal.installSnapshot(id)).rejects.toMatchObject({ code: 'disk_full' });
    expect(await inner.list(archiveDirectory)).toEqual([]);
    expect(await journal.read(1, 1 << 20)).toEqual(own);
    expect((await journal.installSnapshot(id))?.changes).toBe(3);
  });

  const own = framesAfter(null, 9, 'own', epochOf(1, 'other'));
  async function partedInWhatItCompacted(disk: VolatileDisk): Promise<Journal> {
    const { journal } = await openOn(disk);
    for (const frame of own) await journal.write({ frames: [frame] });
    for (const index of [4, 6]) await journal.makeCheckpoint(index);
    expect(await journal.compact()).toBeGreaterThan(1);
    await journal.receiveSnapshot(id, bytes.length, 0, bytes);
    return journal;
  }

  test.each([
    ['it', (journal: Journal, told: Told) => renewMember(journal, memberConfig, id, told)],
    [
      'an empty log in its place',
      (journal: Journal, told: Told) => journal.write({ truncateTo: 0 }).then(() => renewMember(journal, memberConfig, null, told)),
    ],
  ])('is told to whoever reports %s with all that it made the journal archive, the state too (I5)', async (_, replace) => {
    const journal = await partedInWhatItCompacted(new VolatileDisk());
    const archived: Archive[] = [];
    await replace(journal, (all) => void archived.push(...all));
    expect(archived).toEqual([
      expect.objectContaining({ kind: 'diverged', lastUid: 9 }),
      expect.objectContaining({ kind: 'state', uid: 6 }),
    ]);
  });

  test('leaves the state of a log in the archive that parted in what it had compacted (I5)', async () => {
    const disk = new VolatileDisk();
    const journal = await partedInWhatItCompacted(disk);
    const tail = await journal.installSnapshot(id);
    expect(tail).toMatchObject({ lastUid: 9 });
    const [first, state] = await journal.archives();
    expect(first).toEqual(tail);
    expect(state).toMatchObject({ kind: 'state', uid: 6 });
    const content = gunzipSync(disk.contentOf(`${archiveDirectory}/${state?.id ?? ''}.gz`));
    const archived = (await decodedSnapshot(content)).records.map((record) => (record.kind === 'entry' ? record.key : ''));
    expect(archived).toEqual(own.slice(0, 6).map(({ index }) => `own${String(index)}`));
    await journal.archiveCopy(1e15, { count: 1, ageMs: 0 });
    expect((await journal.archives()).map(({ kind }) => kind)).toEqual(['diverged', 'state', 'copy']);
  });
});

/** Opens and removes files in a later turn each, as a real disk does. */
const unhurried = (disk: Disk): Disk => ({
  makeDirectory: (path) => disk.makeDirectory(path),
  list: (path) => disk.list(path),
  rename: (from, to) => disk.rename(from, to),
  syncDirectory: (path) => disk.syncDirectory(path),
  open: async (path, mode) => {
    await new Promise(setImmediate);
    return disk.open(path, mode);
  },
  remove: async (path) => {
    await new Promise(setImmediate);
    return disk.remove(path);
  },
});

describe('a listing of the archive', () => {
  test('is whole while a copy is made and older ones are removed', async () => {
    const { journal } = await openOn(unhurried(new VolatileDisk()));
    await journal.write({ frames });
    for (let timeMs = 1; timeMs <= 20; timeMs += 1) await journal.archiveCopy(timeMs, { count: 20, ageMs: 1000 });
    const copying = { isOver: false };
    const made = journal.archiveCopy(21, { count: 1, ageMs: 1000 }).finally(() => (copying.isOver = true));
    const listings: Promise<Archive[]>[] = [];
    while (!copying.isOver) {
      listings.push(journal.archives());
      await new Promise(setImmediate);
    }
    await made;
    for (const listed of await Promise.all(listings)) expect([1, 20, 21]).toContain(listed.length);
    expect(await journal.archives()).toMatchObject([{ timeMs: 21 }]);
  });
});

describe('a log with damage that nobody can repair', () => {
  test('gives way to a snapshot; what it can read and the snapshot does not hold is archived (I5)', async () => {
    const disk = new VolatileDisk();
    const first = (await openOn(disk)).journal;
    const own = framesAfter(frames[3] ?? null, 8, 'own', epochOf(1, 'other'));
    for (const frame of [...frames.slice(0, 4), ...own]) await first.write({ frames: [frame] });
    for (const name of (await disk.list(logDirectory)).sort().slice(2, 3)) await disk.remove(`${logDirectory}/${name}`);
    const { journal, said } = await openOn(disk, { scan: false });
    expect(journal.damage).toMatchObject([{ fromIndex: 6, toIndex: 7 }]);
    await journal.receiveSnapshot(id, bytes.length, 0, bytes);
    expect(await journal.installSnapshot(id)).toMatchObject({ firstUid: 8, lastUid: 12 });
    expect(await journal.archives()).toMatchObject([
      { firstUid: 5, lastUid: 5 },
      { firstUid: 8, lastUid: 12 },
    ]);
    expect(journal.damage).toEqual([]);
    expect(await collect(journal.recovered())).toEqual([]);
    await journal.write({ frames: framesAfter(frames[8] ?? null, 1) });
    expect((await openOn(disk)).hashes).toHaveLength(1);
    expect(said).toEqual(['frames of the journal are damaged']);
  });
});

describe('a rewind', () => {
  test('to where no state can be built from is a broken invariant: the process ends, and the log stays', async () => {
    for (const keep of [2, 3]) {
      const disk = new VolatileDisk();
      const { journal, fatal } = await openOn(disk);
      for (const frame of frames) await journal.write({ frames: [frame] });
      for (const index of [4, 7]) await journal.makeCheckpoint(index);
      const first = await journal.compact();
      expect(first).toBe(4);
      void journal.write({ truncateTo: keep });
      await new Promise(setImmediate);
      expect(fatal).toHaveLength(1);
      const again = await openOn(disk);
      expect(again.hashes).toEqual(frames.slice(first - 1).map(({ hash }) => hash));
      expect((await disk.list(checkpointDirectory)).length).toBe(2);
    }
  });
});
