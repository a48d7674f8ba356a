// Reads stretches of frames out of segments and verifies each: checksum, form, own hash, place in the chain.
// What does not verify is refused with its file and offset: never skipped, never served. It does not repair; that needs another copy.
import assert from 'node:assert/strict';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import { decodeFrame, type Frame, type Sha256 } from '../core/frame.ts';
import { withFile, type Disk } from './disk.ts';
import { decodeRecord, type StoredRecord } from './record.ts';
import type { Stretch } from './segment.ts';

export interface SegmentReader {
  readonly disk: Disk;
  readonly sha256: Sha256;
  readonly log: Pick<Logger, 'warn'>;
}
/** What a worker has, too. */
export type FrameReader = Pick<SegmentReader, 'disk' | 'sha256'>;

/** The last frame of a log. */
export interface ChainEnd {
  readonly index: number;
  readonly hash: string;
}

/** The frame before the one that is looked at; its hash is null where it is not known. */
export interface Previous {
  readonly index: number;
  readonly hash: string | null;
}

export const corrupt = (path: string, what: string): AppError => new AppError('journal_corrupt', `${path}: ${what}`);
const at = (offset: number): string => `record at offset ${String(offset)}`;

/** The frame of a record whose checksum holds, by itself. Throws AppError journal_corrupt. */
export function frameOf(record: StoredRecord, sha256: Sha256, path: string, offset: number): Frame {
  // A copy: whoever keeps the frame must not keep the whole buffer.
  const frame = decodeFrame(new Uint8Array(record.frameBytes), sha256);
  if ('error' in frame) throw corrupt(path, `${at(offset)}: ${frame.error}`);
  if (frame.hash !== record.hash) throw corrupt(path, `${at(offset)} does not match its hash`);
  return frame;
}

/** Reads the frames that follow `before`. Throws AppError journal_corrupt when the disk gives other bytes than it was given. */
export async function readStretch({ disk, sha256 }: FrameReader, stretch: Stretch, before: Previous): Promise<Frame[]> {
  const { path, offset, length, checksums } = stretch;
  const bytes = await withFile(disk, path, 'read', (file) => file.read(offset, length));
  const frames: Frame[] = [];
  let done = 0;
  let previous = before;
  for (const checksum of checksums) {
    const place = offset + done;
    const record = decodeRecord(bytes, done, place);
    if (record.kind !== 'record') throw corrupt(path, record.error);
    if (record.checksum !== checksum) throw corrupt(path, `${at(place)} is not the one that was written`);
    const frame = frameOf(record, sha256, path, place);
    if (frame.index !== previous.index + 1)
      throw corrupt(path, `${at(place)} has index ${String(frame.index)} where ${String(previous.index + 1)} belongs`);
    if (previous.hash !== null && frame.prevHash !== previous.hash) throw corrupt(path, `${at(place)} does not continue the chain`);
    frames.push(frame);
    previous = frame;
    done += record.size;
  }
  return frames;
}

/** Frames that are to be written after `end`. That they do not continue it is a defect of who made them. */
export function assertContinues(end: ChainEnd, added: readonly Frame[]): void {
  let { index, hash } = end;
  for (const frame of added) {
    assert(frame.index === index + 1 && frame.prevHash === hash, `frame ${String(frame.index)} does not continue frame ${String(index)}`);
    ({ index, hash } = frame);
  }
}
