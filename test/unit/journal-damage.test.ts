// Damage on the disk: found at open or at read, named with file and offset, never served; only a torn end is cut.
import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { decodeHardState } from '../../sidecar/journal/hard-state-file.ts';
import { decodeRecord } from '../../sidecar/journal/record.ts';
import { decodeSegmentHeader, segmentHeaderBytes, segmentName } from '../../sidecar/journal/segment.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { epochOf, framesAfter, promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { archiveDirectory, journalDirectory, logDirectory, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 8);
const hashesTo = (count: number): string[] => frames.slice(0, count).map(({ hash }) => hash);
const firstSegment = `${logDirectory}/${segmentName(1)}`;
const promiseFile = `${journalDirectory}/hard-state`;

let disk: VolatileDisk;
let journal: Journal;

/** Each frame in a batch of its own. */
async function writeAll(all: readonly Frame[]): Promise<void> {
  for (const frame of all) await journal.write({ frames: [frame] });
}

const segmentFiles = async (): Promise<string[]> => (await disk.list(logDirectory)).sort().map((name) => `${logDirectory}/${name}`);
const lastSegment = async (): Promise<string> => (await segmentFiles()).at(-1) ?? '';

function flip(path: string, at: number, mask = 0x10): void {
  const bytes = Buffer.from(disk.contentOf(path));
  bytes.writeUInt8(bytes.readUInt8(at) ^ mask, at);
  disk.replaceContent(path, bytes);
}

/** Opens; what it found, or the error. */
async function outcome(): Promise<string[] | AppError> {
  try {
    return (await openOn(disk)).hashes;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

beforeEach(async () => {
  disk = new VolatileDisk();
  ({ journal } = await openOn(disk));
  await journal.write({ hardState: promised(epochOf(1)) });
  await writeAll(frames);
});

describe('a flipped bit', () => {
  // At every offset, and what becomes of it: test/conformance/journal-damage.test.ts.
  test('in what later frames prove durable is named by file and offset while it is not repaired', async () => {
    const files = await segmentFiles();
    expect(files.length).toBeGreaterThan(2);
    for (const path of files.slice(0, -1)) {
      const whole = disk.contentOf(path);
      for (let at = 0; at < whole.length; at += at < 32 ? 1 : 9) {
        flip(path, at, 1 << (at % 8));
        const found = await outcome();
        expect(found).toBeInstanceOf(AppError);
        expect(found).toMatchObject({ code: at >= 8 && at < 12 ? 'journal_version' : 'journal_corrupt' });
        expect(String(found)).toContain(path);
        disk.replaceContent(path, whole);
      }
    }
  });

  test('in a frame of the last segment that has a later one is refused; in the last frame it is cut as torn', async () => {
    await journal.write({ truncateTo: 0 });
    await writeAll(frames.slice(0, 2));
    const path = await lastSegment();
    const whole = disk.contentOf(path);
    const second = whole.lastIndexOf(Buffer.from([0xff, 0x43, 0x43, 0x52]));
    for (let at = 32; at < whole.length; at += 1) {
      flip(path, at);
      const found = await outcome();
      if (at < second) {
        expect(found).toMatchObject({ code: 'journal_corrupt' });
        expect(String(found)).toContain('offset 32');
      } else expect(found).toEqual(hashesTo(1));
      disk.replaceContent(path, whole);
    }
  });

  test('under a running journal is never served', async () => {
    for (const path of await segmentFiles()) {
      const whole = disk.contentOf(path);
      for (let at = 32; at < whole.length; at += 7) {
        flip(path, at);
        await expect(journal.read(1, 1 << 20)).rejects.toMatchObject({ code: 'journal_corrupt' });
        disk.replaceContent(path, whole);
      }
    }
    expect(await journal.read(1, 1 << 20)).toEqual(frames);
  });

  test('is found even where the disk gives valid frames of another time', async () => {
    const other = new VolatileDisk();
    const twin = (await openOn(other)).journal;
    for (const frame of framesAfter(null, 8, 'b')) await twin.write({ frames: [frame] });
    for (const path of await segmentFiles()) {
      const whole = disk.contentOf(path);
      disk.replaceContent(path, other.contentOf(path));
      await expect(journal.read(1, 1 << 20)).rejects.toMatchObject({ code: 'journal_corrupt' });
      disk.replaceContent(path, whole);
    }
    disk.replaceContent(firstSegment, other.contentOf(firstSegment));
    await expect(journal.read(1, 1)).rejects.toMatchObject({ code: 'journal_corrupt' });
  });

  test('in the promise is refused', async () => {
    const whole = disk.contentOf(promiseFile);
    for (let at = 0; at < whole.length - 1; at += 1) {
      flip(promiseFile, at);
      expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
      disk.replaceContent(promiseFile, whole);
    }
  });
});

describe('a missing end', () => {
  test('of the last segment is cut to the last whole frame and logged', async () => {
    const path = await lastSegment();
    const whole = disk.contentOf(path);
    const before = frames.length - whole.toString('latin1').split('"index"').length + 1;
    let shortest = frames.length;
    for (let size = whole.length - 1; size >= 32; size -= 1) {
      disk.replaceContent(path, whole.subarray(0, size));
      const { hashes, said } = await openOn(disk);
      expect(hashes).toEqual(hashesTo(hashes.length));
      expect(hashes.length).toBeLessThanOrEqual(shortest);
      shortest = hashes.length;
      expect(said).toEqual(disk.contentOf(path).length < size ? ['cut a torn end off the journal'] : []);
    }
    expect(shortest).toBe(before);
  });

  test('filled with zeros is room for more: kept, and written into', async () => {
    const { journal: roomy } = await openOn(disk, { roomBytes: 3000 });
    const more = framesAfter(frames.at(-1) ?? null, 2);
    await roomy.write({ frames: more.slice(0, 1) });
    const path = await lastSegment();
    expect(disk.contentOf(path)).toHaveLength(3000);
    const again = await openOn(disk, { roomBytes: 3000 });
    expect(again.said).toEqual([]);
    await again.journal.write({ frames: more.slice(1) });
    expect(disk.contentOf(path)).toHaveLength(3000);
    expect((await openOn(disk)).hashes).toEqual(hashesTo(8).concat(more.map(({ hash }) => hash)));
  });

  test('filled with zeros but for one bit is cut in the last segment, and logged in a sealed one', async () => {
    const { journal: roomy } = await openOn(disk, { roomBytes: 3000 });
    const more = framesAfter(frames.at(-1) ?? null, 4);
    for (const frame of more) await roomy.write({ frames: [frame] });
    const all = hashesTo(8).concat(more.map(({ hash }) => hash));
    const [sealed = '', last = ''] = (await segmentFiles()).slice(-2);
    for (const [path, message] of [
      [sealed, 'bytes behind the end of a sealed segment are not zero'],
      [last, 'cut a torn end off the journal'],
    ] as const) {
      expect(disk.contentOf(path)).toHaveLength(3000);
      flip(path, 2900);
      const again = await openOn(disk);
      expect(again.hashes).toEqual(all);
      expect(again.said).toContain(message);
    }
    expect(disk.contentOf(last).length).toBeLessThan(2900);
  });

  test('does not come back under the frame that takes its place', async () => {
    // Of two frames of one batch only the second reached the disk.
    await journal.write({ truncateTo: 0 });
    await journal.write({ frames: frames.slice(0, 2) });
    flip(firstSegment, 40);
    const again = await openOn(disk);
    expect(again.hashes).toEqual([]);
    const other = framesAfter(null, 1, 'b');
    disk.stopBefore = disk.operations + 2;
    void again.journal.write({ frames: other });
    await disk.stopped;
    // Power is lost before the sync: a cut that was not synced would be undone, the new frame is there.
    const draws = [0.9, 0.5];
    disk = disk.afterPowerLoss({ kind: 'some', random: () => draws.shift() ?? 0.5 });
    expect([[], other.map(({ hash }) => hash)]).toContainEqual(await outcome());
  });

  test('of a sealed segment is refused', async () => {
    disk.replaceContent(firstSegment, disk.contentOf(firstSegment).subarray(0, -1));
    expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
  });
});

describe('files that do not belong together are refused', () => {
  test.each([
    ['a segment is missing', async () => disk.remove((await segmentFiles())[1] ?? '')],
    ['the first segment is missing', () => disk.remove(firstSegment)],
    [
      'a segment stands under the name of another',
      async () => {
        disk.replaceContent((await segmentFiles())[1] ?? '', disk.contentOf(firstSegment));
      },
    ],
    ['the promise is missing', () => disk.remove(promiseFile)],
  ])('%s', async (_, damage) => {
    await damage();
    expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
  });

  test('a segment before an empty one is missing', async () => {
    await journal.write({ truncateTo: 6 });
    await disk.remove((await segmentFiles()).at(-2) ?? '');
    expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
  });

  test('an empty segment has the header of another', async () => {
    await journal.write({ truncateTo: 6 });
    disk.replaceContent(await lastSegment(), disk.contentOf(firstSegment).subarray(0, segmentHeaderBytes));
    expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
  });

  test('a frame repeated in the log', async () => {
    const path = await lastSegment();
    disk.replaceContent(path, Buffer.concat([disk.contentOf(path), disk.contentOf(path).subarray(32)]));
    expect(await outcome()).toMatchObject({ code: 'journal_corrupt' });
  });

  test('a promise of a later format', async () => {
    const line = JSON.stringify({ version: 2, promise: { term: 5 } });
    const { crc32 } = await import('node:zlib');
    disk.replaceContent(promiseFile, Buffer.from(`${line}\n${crc32(line).toString(16).padStart(8, '0')}\n`));
    expect(await outcome()).toMatchObject({ code: 'journal_version' });
  });
});

test('what a crash left half made is removed at the next opening', async () => {
  for (const directory of [journalDirectory, logDirectory, archiveDirectory]) await disk.open(`${directory}/any.unfinished`, 'create');
  await openOn(disk);
  for (const directory of [journalDirectory, logDirectory, archiveDirectory])
    expect(await disk.list(directory)).not.toContain('any.unfinished');
});

describe('random bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));

  test('are no record, and the error names the offset', () => {
    const marked = bytes.map((each) => Buffer.concat([Buffer.from([0xff, 0x43, 0x43, 0x52]), each]));
    fc.assert(
      fc.property(fc.oneof(bytes, marked), fc.nat(), (each, position) => {
        const decoded = decodeRecord(each, 0, position);
        expect(decoded.kind).not.toBe('record');
        expect('error' in decoded && decoded.error).toContain(`offset ${String(position)}`);
      }),
    );
  });

  test('are no segment header and no promise', () => {
    fc.assert(
      fc.property(bytes, (each) => {
        expect(() => decodeSegmentHeader(each, 'file')).toThrow(/file at offset 0/);
        expect(() => decodeHardState(each, 'file')).toThrow(/file at offset 0/);
      }),
    );
  });

  test('behind the log are cut or refused, and the log before them is whole', async () => {
    const path = await lastSegment();
    const whole = disk.contentOf(path);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          bytes,
          fc.nat(whole.length).map((at) => whole.subarray(at)),
        ),
        async (garbage) => {
          disk.replaceContent(path, Buffer.concat([whole, garbage]));
          const found = await outcome();
          if (found instanceof AppError) expect(found.code).toBe('journal_corrupt');
          else expect(found).toEqual(hashesTo(8));
        },
      ),
    );
  });
});
