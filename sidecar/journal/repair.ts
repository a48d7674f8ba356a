// Puts frames that the disk has damaged back in their place, from another copy. A segment is written anew as a whole and takes the place of the damaged
// one by its name: a crash leaves the one or the other, so that a sound neighbour of the damage is never at risk.
import { basename } from 'node:path';
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../core/frame.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';
import { encodeRecords } from './record.ts';
import type { Segment } from './segment.ts';
import type { Hole } from './survey.ts';

const copyBytes = 4 * 1024 * 1024;

/** The hole that is filled by exactly these frames. Throws AppError journal_corrupt when there is none. */
export function holeOf(frames: readonly Frame[], holes: readonly Hole[]): Hole {
  const hole = holes.find(({ fromIndex }) => fromIndex === frames[0]?.index);
  if (hole === undefined || frames.at(-1)?.index !== hole.toIndex || frames.at(-1)?.hash !== hole.hash) throw doNotFit();
  let { prevHash } = hole;
  for (const [at, frame] of frames.entries()) {
    if (frame.index !== hole.fromIndex + at || (prevHash !== null && frame.prevHash !== prevHash)) throw doNotFit();
    prevHash = frame.hash;
  }
  return hole;
}

const doNotFit = (): AppError => new AppError('journal_corrupt', 'the frames are not those that the journal lacks');

/** Durable when it resolves. Rejects with AppError disk_full; segments before the one that found no room are repaired then. */
export async function fillHole(disk: Disk, directory: string, segments: readonly Segment[], frames: readonly Frame[]): Promise<void> {
  for (const segment of segments) {
    const fitting = frames.filter(({ index }) => index >= segment.firstIndex && index <= segment.lastIndex);
    if (fitting.length > 0) await replaceFile(disk, directory, basename(segment.path), mended(disk, segment, fitting));
  }
}

/** Bytes of a segment with `frames` in the place of what is there. */
async function* mended(disk: Disk, segment: Segment, frames: readonly Frame[]): AsyncGenerator<Uint8Array> {
  const [first, last] = [frames[0]?.index ?? 0, frames.at(-1)?.index ?? 0];
  yield* copied(disk, segment.path, 0, segment.startOf(first));
  // All frames of the hole were durable once: what was written behind them says so.
  for (const frame of frames) yield encodeRecords([frame], last).bytes;
  yield* copied(disk, segment.path, segment.endOf(last), segment.size);
}

async function* copied(disk: Disk, path: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let offset = from; offset < to; offset += copyBytes)
    yield await withFile(disk, path, 'read', (file) => file.read(offset, Math.min(copyBytes, to - offset)));
}
