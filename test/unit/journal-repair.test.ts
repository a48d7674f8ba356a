// Damage in the middle of the log is a hole with a name, and the frames that belong there, and no others, fill it.
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Frame } from '../../sidecar/core/frame.ts';
import { encodeSegmentHeader, segmentName } from '../../sidecar/journal/segment.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { faultyDisk, noFaults } from '../lib/faulty-disk.ts';
import { collect, frameAfter, framesAfter } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { logDirectory, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 10);
let disk: VolatileDisk;
let journal: Journal;

const hashesOf = (of: readonly Frame[]): string[] => of.map(({ hash }) => hash);
const pathOf = (index: number): string => `${logDirectory}/${segmentName(index)}`;
const hole = (fromIndex: number, toIndex: number): unknown => ({
  fromIndex,
  toIndex,
  hash: frames[toIndex - 1]?.hash,
  found: expect.stringContaining(logDirectory),
});
const damaged = async (): Promise<Journal> => (await openOn(disk, { scan: false })).journal;
const between = (from: number, to: number): Frame[] => frames.slice(from - 1, to);
const recovered = async (of: Journal): Promise<string[]> => hashesOf(await collect(of.recovered()));

/** Damages the record of a frame. */
async function hurt(index: number): Promise<void> {
  for (const name of await disk.list(logDirectory)) {
    const path = `${logDirectory}/${name}`;
    const bytes = Buffer.from(disk.contentOf(path));
    const at = bytes.indexOf(`"index":${String(index)},`);
    if (at === -1) continue;
    bytes[at] = 0;
    disk.replaceContent(path, bytes);
  }
}

beforeEach(async () => {
  disk = new VolatileDisk();
  ({ journal } = await openOn(disk));
  for (const frame of frames) await journal.write({ frames: [frame] });
  expect((await disk.list(logDirectory)).sort()).toEqual([1, 4, 6, 8, 10].map(segmentName));
});

describe('a hole', () => {
  test('of frames that follow each other is one, across segments', async () => {
    for (const index of [2, 3, 4, 5]) await hurt(index);
    const opened = await damaged();
    expect(opened.damage).toEqual([hole(2, 5)]);
    await opened.repair(between(2, 5));
    expect(opened.damage).toEqual([]);
    expect(await recovered(opened)).toEqual(hashesOf(frames));
    expect((await openOn(disk)).said).toEqual([]);
  });

  test('is the place of a segment that is missing, or has lost its end', async () => {
    await disk.remove(pathOf(4));
    disk.replaceContent(pathOf(8), disk.contentOf(pathOf(8)).subarray(0, 40));
    const opened = await damaged();
    expect(opened.damage).toEqual([hole(4, 5), hole(8, 9)]);
    for (const [from, to] of [
      [8, 9],
      [4, 5],
    ] as const)
      await opened.repair(between(from, to));
    expect(await recovered(opened)).toEqual(hashesOf(frames));
    await opened.write({ frames: framesAfter(frames[9] ?? null, 3) });
    expect((await openOn(disk)).hashes).toHaveLength(13);
  });

  test('keeps the frames behind it, which cannot be read or written before it is filled', async () => {
    await hurt(3);
    const opened = await damaged();
    await expect(recovered(opened)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(() => opened.write({ frames: [frameAfter(frames[9] ?? null, [])] })).toThrow('recovered()');
    await opened.close();
    const again = await damaged();
    await again.repair(between(3, 3));
    expect(await recovered(again)).toEqual(hashesOf(frames));
  });

  test('takes the frames that belong there, and no others', async () => {
    for (const index of [4, 5]) await hurt(index);
    const opened = await damaged();
    const other = framesAfter(frames[2] ?? null, 2, 'b');
    const wrong = [between(4, 4), between(5, 5), between(3, 5), between(4, 6), [], other, [other[0] ?? frames[0], frames[4]] as Frame[]];
    const before = (await disk.list(logDirectory)).map((name) => disk.contentOf(`${logDirectory}/${name}`));
    for (const each of wrong) await expect(opened.repair(each)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect((await disk.list(logDirectory)).map((name) => disk.contentOf(`${logDirectory}/${name}`))).toEqual(before);
    expect(opened.damage).toEqual([hole(4, 5)]);
  });

  test('is as it was when there is no room to fill it', async () => {
    await hurt(4);
    const faults = noFaults();
    const opened = (await openOn(faultyDisk(disk, faults), { scan: false })).journal;
    faults.full = true;
    await expect(opened.repair(between(4, 4))).rejects.toMatchObject({ code: 'disk_full' });
    expect(opened.damage).toEqual([hole(4, 4)]);
    faults.full = false;
    await opened.repair(between(4, 4));
    expect(await recovered(opened)).toEqual(hashesOf(frames));
  });

  test('at the begin of a compacted log leaves the base to be known when it is filled', async () => {
    await journal.makeCheckpoint(5);
    await journal.makeCheckpoint(8);
    expect(await journal.compact()).toBe(6);
    await hurt(6);
    const opened = await damaged();
    expect(opened.damage).toEqual([hole(6, 6)]);
    expect(() => opened.base).toThrow('first frame');
    await opened.repair(between(6, 6));
    expect(opened.base.position).toMatchObject({ index: 5, uid: 5, hash: frames[4]?.hash });
    expect(await recovered(opened)).toEqual(hashesOf(frames.slice(5)));
  });

  test('under a checkpoint keeps the rest of a batch that nothing else proves durable', async () => {
    const batch = new VolatileDisk();
    const { journal: written } = await openOn(batch);
    await written.write({ frames: frames.slice(0, 3) });
    await written.makeCheckpoint(2);
    disk = batch;
    await hurt(1);
    const opened = await damaged();
    expect(opened.damage).toEqual([hole(1, 1)]);
    await opened.repair(between(1, 1));
    expect(await recovered(opened)).toEqual(hashesOf(frames.slice(0, 3)));
  });

  test('at the end of the log is known by the checkpoint that stands on it', async () => {
    await journal.makeCheckpoint(10);
    disk.replaceContent(pathOf(10), disk.contentOf(pathOf(10)).subarray(0, 100));
    const opened = await damaged();
    expect(opened.damage).toEqual([hole(10, 10)]);
    await opened.repair(between(10, 10));
    expect(await recovered(opened)).toEqual(hashesOf(frames));
  });
});

describe('what nothing names is refused', () => {
  test('a sealed segment without its end before an empty one', async () => {
    await journal.write({ truncateTo: 8 });
    await hurt(8);
    await expect(damaged()).rejects.toMatchObject({ code: 'journal_corrupt' });
  });

  test('a log of another checkpoint', async () => {
    await journal.makeCheckpoint(6);
    for (const name of await disk.list(logDirectory)) await disk.remove(`${logDirectory}/${name}`);
    const other = new VolatileDisk();
    const twin = (await openOn(other)).journal;
    for (const frame of framesAfter(null, 10, 'b')) await twin.write({ frames: [frame] });
    for (const name of await other.list(logDirectory)) {
      await disk.open(`${logDirectory}/${name}`, 'create');
      disk.replaceContent(`${logDirectory}/${name}`, other.contentOf(`${logDirectory}/${name}`));
    }
    const opened = await damaged();
    await expect(recovered(opened)).rejects.toMatchObject({ code: 'journal_corrupt' });
  });

  test('a segment that claims a place out of reach (I10)', async () => {
    const path = pathOf(9_000_000_000_000);
    await disk.open(path, 'create');
    disk.replaceContent(path, encodeSegmentHeader({ firstIndex: 9_000_000_000_000, precedingBytes: 0 }));
    await expect(damaged()).rejects.toMatchObject({ code: 'journal_corrupt' });
  });
});
