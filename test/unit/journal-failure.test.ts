// A disk that fails while the journal runs: full, or no longer able to sync.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import type { Disk } from '../../sidecar/journal/disk.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { faultyDisk, noFaults, type Faults } from '../lib/faulty-disk.ts';
import { segmentName } from '../../sidecar/journal/segment.ts';
import { epochOf, framesAfter, promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { archiveDirectory, logDirectory, openOn, type Opened } from '../lib/volatile-journal.ts';

let faults: Faults;
let inner: VolatileDisk;
let disk: Disk;
let opened: Opened;
const frames = framesAfter(null, 10);
const hashes = (of: readonly Frame[]): string[] => of.map(({ hash }) => hash);

/** Whether the promise is answered once all that is under way on a disk in memory is done. */
async function isAnswered(promise: Promise<unknown>): Promise<boolean> {
  const answered = promise.then(
    () => true,
    () => true,
  );
  const turn = new Promise<boolean>((resolve) => {
    setImmediate(() => {
      resolve(false);
    });
  });
  return Promise.race([answered, turn]);
}

beforeEach(async () => {
  faults = noFaults();
  inner = new VolatileDisk();
  disk = faultyDisk(inner, faults);
  opened = await openOn(disk);
  await opened.journal.write({ frames: frames.slice(0, 6) });
});

describe('a sync that fails', () => {
  test('ends the process and answers nobody: the page cache is not to be trusted after it (I2)', async () => {
    faults.syncFails = true;
    const under = opened.journal.write({ frames: frames.slice(6, 7) });
    const queued = opened.journal.write({ hardState: promised(epochOf(2)) });
    expect(await isAnswered(Promise.race([under, queued]))).toBe(false);
    expect(opened.fatal).toEqual([expect.objectContaining({ code: 'EIO' })]);
    expect(opened.said).toEqual(['the journal does not know what its disk holds']);
    expect(await isAnswered(opened.journal.write({}))).toBe(false);
    expect(opened.fatal).toHaveLength(1);
  });

  test('of a snapshot that is received ends the process too', async () => {
    faults.syncFails = true;
    const received = opened.journal.receiveSnapshot('f'.repeat(64), 10, 0, Buffer.alloc(5));
    await expect(received).rejects.toThrow('EIO');
    expect(opened.fatal).toEqual([expect.objectContaining({ code: 'EIO' })]);
  });

  test('of a checkpoint ends the process too, and leaves no checkpoint', async () => {
    faults.syncFails = true;
    await expect(opened.journal.makeCheckpoint(6)).rejects.toThrow('EIO');
    expect(opened.fatal).toEqual([expect.objectContaining({ code: 'EIO' })]);
    faults.syncFails = false;
    expect((await openOn(inner.afterPowerLoss({ kind: 'all' }))).journal.checkpoint).toBeNull();
  });
});

describe('a frame that does not continue the log', () => {
  test('ends the process before anything of its step is written', async () => {
    const written = opened.journal.write({ hardState: promised(epochOf(9)), frames: frames.slice(7, 8) });
    expect(await isAnswered(written)).toBe(false);
    expect(opened.fatal).toEqual([expect.objectContaining({ name: 'AssertionError' })]);
    const again = await openOn(inner.afterPowerLoss({ kind: 'all' }));
    expect(again.hashes).toEqual(hashes(frames.slice(0, 6)));
    expect(again.journal.hardState.promise.number).toBe(0);
  });
});

describe('a full disk', () => {
  test('leaves no half written frame behind', async () => {
    // The first finds a full segment and begins another; the second is appended to it.
    await opened.journal.write({ frames: frames.slice(6, 7) });
    const path = `${logDirectory}/${segmentName(7)}`;
    const before = inner.contentOf(path);
    faults.full = true;
    await expect(opened.journal.write({ frames: frames.slice(7) })).rejects.toMatchObject({ code: 'disk_full' });
    expect(inner.contentOf(path)).toEqual(before);
    expect(inner.afterPowerLoss({ kind: 'none' }).contentOf(path)).toEqual(before);
  });

  test('takes the room back that was made for the refused write, and makes it again', async () => {
    const roomy = await openOn(disk, { roomBytes: 3000 });
    await roomy.journal.write({ frames: frames.slice(6, 7) });
    const path = `${logDirectory}/${segmentName(7)}`;
    expect(inner.contentOf(path)).toHaveLength(3000);
    faults.full = true;
    await expect(roomy.journal.write({ frames: frames.slice(7, 8) })).rejects.toMatchObject({ code: 'disk_full' });
    expect(inner.contentOf(path).length).toBeLessThan(1000);
    faults.full = false;
    await roomy.journal.write({ frames: frames.slice(7, 8) });
    expect(inner.contentOf(path)).toHaveLength(3000);
  });

  test.each([{ full: true }, { failingRename: 1 }])('refuses a promise and keeps the old one: %j', async (fault) => {
    await opened.journal.write({ hardState: promised(epochOf(2)) });
    Object.assign(faults, fault);
    await expect(opened.journal.write({ hardState: promised(epochOf(3)) })).rejects.toMatchObject({ code: 'disk_full' });
    expect(opened.journal.hardState.promise).toEqual(epochOf(2));
    Object.assign(faults, noFaults());
    expect((await openOn(disk)).journal.hardState.promise).toEqual(epochOf(2));
  });

  test.each([
    ['the archive', 1],
    ['its sum', 2],
    ['the intent', 3],
  ])('refuses a rewind whole when %s finds no room: log kept, no archive left', async (_, failingRename) => {
    const { journal } = opened;
    faults.failingRename = failingRename;
    const rewind = journal.write({ truncateTo: 2, frames: framesAfter(frames[1] ?? null, 1, 'b') });
    await expect(rewind).rejects.toMatchObject({ code: 'disk_full' });
    expect(await journal.archives()).toEqual([]);
    expect(await inner.list(archiveDirectory)).toEqual([]);
    expect(await journal.read(1, 1 << 20)).toEqual(frames.slice(0, 6));
    expect((await openOn(disk)).hashes).toEqual(hashes(frames.slice(0, 6)));
  });

  test('is told from other failures of a write', async () => {
    const broken: Disk = {
      ...disk,
      open: async (path, mode) => ({ ...(await disk.open(path, mode)), write: () => Promise.reject(new Error('EIO')) }),
    };
    const { journal, fatal } = await openOn(broken);
    expect(await isAnswered(journal.write({ frames: frames.slice(6, 7) }))).toBe(false);
    expect(fatal).toHaveLength(1);
  });
});

describe('readers', () => {
  test('see the log before or after a rewind, never in between', async () => {
    const { journal } = opened;
    const many = framesAfter(frames[5] ?? null, 40);
    for (const frame of many) await journal.write({ frames: [frame] });
    const other = framesAfter(frames[1] ?? null, 6, 'b');
    const progress = { rewound: false };
    const rewind = journal.write({ truncateTo: 2, frames: other }).then(() => (progress.rewound = true));
    // One begins at each turn, so that some are under way at every step of the rewind.
    const reads: ReturnType<typeof journal.read>[] = [];
    while (!progress.rewound) {
      reads.push(journal.read(1, 1 << 20));
      await Promise.resolve();
    }
    await rewind;
    const before = hashes([...frames.slice(0, 6), ...many]);
    const after = hashes([...frames.slice(0, 2), ...other]);
    const seen = (await Promise.all(reads)).map((read) => hashes(read));
    for (const each of seen) expect([before, after]).toContainEqual(each);
    expect(seen).toContainEqual(before);
    expect(seen).toContainEqual(after);
    expect(hashes(await journal.read(1, 1 << 20))).toEqual(after);
  });

  test('see all of what they ask for, or that it is compacted, while the log is', async () => {
    const { journal } = opened;
    const many = framesAfter(frames[5] ?? null, 40);
    for (const frame of many) await journal.write({ frames: [frame] });
    for (const index of [30, 40]) await journal.makeCheckpoint(index);
    const progress = { compacted: false };
    const compaction = journal.compact().then(() => (progress.compacted = true));
    const reads: Promise<string>[] = [];
    while (!progress.compacted) {
      const read = journal.read(2, 1 << 20).then(
        (all) => hashes(all).join(),
        (error: unknown) => (error instanceof AppError ? error.code : String(error)),
      );
      reads.push(read);
      await Promise.resolve();
    }
    await compaction;
    const whole = hashes([...frames.slice(1, 6), ...many]).join();
    for (const seen of await Promise.all(reads)) expect([whole, 'compacted']).toContain(seen);
    await expect(journal.read(2, 1)).rejects.toMatchObject({ code: 'compacted' });
  });

  test('that were stopped between two segments by a rewind read again', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const slow = { armed: false };
    const slowDisk: Disk = {
      ...disk,
      open: async (path, mode) => {
        const file = await disk.open(path, mode);
        const held = slow.armed;
        slow.armed = false;
        return { ...file, close: () => (held ? gate : file.close()) };
      },
    };
    const { journal } = await openOn(slowDisk);
    await journal.write({ frames: frames.slice(6, 8) });
    const other = framesAfter(frames[1] ?? null, 8, 'b');
    slow.armed = true;
    const read = journal.read(1, 1 << 20);
    await journal.write({ truncateTo: 2, frames: other });
    release();
    expect(await read).toEqual([...frames.slice(0, 2), ...other]);
  });
});
