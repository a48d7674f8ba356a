// Reads frames out of segments and verifies each: checksum, form, own hash, place in the chain.
// At open, a torn end of the last segment is cut. Anything else that does not verify is refused with its file and offset: never skipped, never served.
// It does not repair; that needs another copy.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import { decodeFrame, type Sha256 } from '../core/frame.ts';
import type { LoggedFrame } from '../ports.ts';
import { withFile, type Disk, type DiskFile } from './disk.ts';
import { decodeRecord, maxRecordBytes, nextMarker, type DecodedRecord, type StoredRecord } from './record.ts';
import type { Segment, Stretch } from './segment.ts';

/** Bytes of a segment held in memory at a time while it is scanned; more than the longest record. */
const scanBytes = 4 * 1024 * 1024;

/** The last frame of a log. */
export interface ChainEnd {
  readonly index: number;
  readonly hash: string;
}

export interface SegmentReader {
  readonly disk: Disk;
  readonly sha256: Sha256;
  readonly log: Pick<Logger, 'warn'>;
}

const corrupt = (path: string, what: string): AppError => new AppError('journal_corrupt', `${path}: ${what}`);
const at = (offset: number): string => `record at offset ${String(offset)}`;

/** The frame before the one that is looked at; its hash is null where it is not known. */
export interface Previous {
  readonly index: number;
  readonly hash: string | null;
}

/** The frame of a record whose checksum holds. Throws AppError journal_corrupt. */
function verifiedFrame(record: StoredRecord, sha256: Sha256, previous: Previous, path: string, offset: number): LoggedFrame {
  // A copy: whoever keeps the frame must not keep the whole buffer.
  const frame = decodeFrame(new Uint8Array(record.frameBytes), sha256);
  if ('error' in frame) throw corrupt(path, `${at(offset)}: ${frame.error}`);
  if (frame.hash !== record.hash) throw corrupt(path, `${at(offset)} does not match its hash`);
  if (frame.index !== previous.index + 1)
    throw corrupt(path, `${at(offset)} has index ${String(frame.index)} where ${String(previous.index + 1)} belongs`);
  if (previous.hash !== null && frame.prevHash !== previous.hash) throw corrupt(path, `${at(offset)} does not continue the chain`);
  return { frame, seq: record.seq };
}

/** Reads a segment to its end, yields its frames and notes their places in `segment`. Cuts a torn end when it is the `last` segment. */
export async function* scanSegment(reader: SegmentReader, segment: Segment, before: ChainEnd, last: boolean): AsyncGenerator<LoggedFrame> {
  const { disk, sha256 } = reader;
  if (segment.firstIndex !== before.index + 1)
    throw corrupt(segment.path, `begins with index ${String(segment.firstIndex)} at offset 0 where ${String(before.index + 1)} belongs`);
  const file = await disk.open(segment.path, 'read');
  try {
    const fileBytes = await file.size();
    let previous = before;
    while (segment.size < fileBytes) {
      const start = segment.size;
      const window = await file.read(start, scanBytes);
      while (segment.size < start + window.length) {
        const offset = segment.size;
        const record = decodeRecord(window, offset - start, offset);
        if (record.kind === 'incomplete' && offset > start && start + window.length < fileBytes) break;
        if (record.kind !== 'record') {
          if (!last) throw corrupt(segment.path, record.error);
          await cutTornEnd(reader, file, segment, previous.index + 1, fileBytes, record);
          return;
        }
        const logged = verifiedFrame(record, sha256, previous, segment.path, offset);
        segment.add(record.size, record.checksum);
        previous = logged.frame;
        yield logged;
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * Cuts what a crash left of the last, never confirmed batch. A record further on that says that the missing frame was durable before it
 * proves damage instead (as in Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST '18). Damage to the last batch itself
 * cannot be told from a torn write by one disk alone.
 */
async function cutTornEnd(
  { disk, log }: SegmentReader,
  file: DiskFile,
  segment: Segment,
  index: number,
  fileBytes: number,
  bad: Exclude<DecodedRecord, StoredRecord>,
): Promise<void> {
  const proof = await laterProof(file, segment.size, index);
  if (proof !== null) throw corrupt(segment.path, `${bad.error}, and the ${at(proof)} says that it was durable`);
  await withFile(disk, segment.path, 'write', async (writable) => {
    await writable.truncate(segment.size);
    await writable.datasync();
  });
  log.warn(
    { file: segment.path, offset: segment.size, bytes: fileBytes - segment.size, reason: bad.error },
    'cut a torn end off the journal',
  );
}

/** Offset of a valid record after `offset` that was written when frame `index` was durable already; null when there is none. */
async function laterProof(file: DiskFile, offset: number, index: number): Promise<number | null> {
  for (let start = offset + 1; ; start += scanBytes) {
    const window = await file.read(start, scanBytes + maxRecordBytes);
    if (window.length === 0) return null;
    for (let found = nextMarker(window, 0); found !== -1 && found < scanBytes; found = nextMarker(window, found + 1)) {
      const record = decodeRecord(window, found, start + found);
      if (record.kind === 'record' && record.durableIndex >= index) return start + found;
    }
  }
}

/** Reads the frames that follow `before`. Throws AppError journal_corrupt when the disk gives other bytes than it was given. */
export async function readStretch({ disk, sha256 }: SegmentReader, stretch: Stretch, before: Previous): Promise<LoggedFrame[]> {
  const { path, offset, length, checksums } = stretch;
  const bytes = await withFile(disk, path, 'read', (file) => file.read(offset, length));
  const frames: LoggedFrame[] = [];
  let done = 0;
  for (const checksum of checksums) {
    const record = decodeRecord(bytes, done, offset + done);
    if (record.kind !== 'record') throw corrupt(path, record.error);
    if (record.checksum !== checksum) throw corrupt(path, `${at(offset + done)} is not the one that was written`);
    frames.push(verifiedFrame(record, sha256, frames.at(-1)?.frame ?? before, path, offset + done));
    done += record.size;
  }
  return frames;
}
