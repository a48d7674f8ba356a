// Segments: the files that hold the log, each named by the index of its first frame, and what is kept of each in memory.
// A segment appears whole with its header and is only appended to; a new one begins only when the one before is durable to its end.
// In memory a frame costs two numbers (offset, checksum), never its bytes.
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { AppError } from '../../common/errors.ts';
import { withFile, type Disk } from './disk.ts';

const magic = Buffer.from('CCJOURNL', 'latin1');
const formatVersion = 1;
/** magic (8), format version (4), first index (8), bytes of the segment before (8), CRC-32 of all this (4). */
export const segmentHeaderBytes = 32;

export interface SegmentHeader {
  readonly firstIndex: number;
  /** Where the last record of the segment before ends: what a rewind cuts it to. Only zeros may follow there. 0 when there is none. */
  readonly precedingBytes: number;
}

const indexDigits = 16;
export const segmentName = (firstIndex: number): string => `${String(firstIndex).padStart(indexDigits, '0')}.segment`;
/** First index that a name says, or null for a file of another kind. */
export function firstIndexOf(name: string): number | null {
  const firstIndex = Number(/^(\d{16})\.segment$/.exec(name)?.[1]);
  return Number.isSafeInteger(firstIndex) ? firstIndex : null;
}

export function encodeSegmentHeader({ firstIndex, precedingBytes }: SegmentHeader): Buffer {
  const header = Buffer.alloc(segmentHeaderBytes);
  magic.copy(header);
  header.writeUInt32BE(formatVersion, 8);
  header.writeBigUInt64BE(BigInt(firstIndex), 12);
  header.writeBigUInt64BE(BigInt(precedingBytes), 20);
  header.writeUInt32BE(crc32(header.subarray(0, 28)), 28);
  return header;
}

/** Throws AppError journal_version for a version that is not this one, journal_corrupt for anything else that does not verify. */
export function decodeSegmentHeader(header: Buffer, path: string): SegmentHeader {
  const corrupt = (what: string): AppError => new AppError('journal_corrupt', `${path} at offset 0: ${what}`);
  if (header.length < segmentHeaderBytes) throw corrupt('ends inside its header');
  if (magic.compare(header, 0, magic.length) !== 0) throw corrupt('is not a segment');
  const version = header.readUInt32BE(8);
  if (version !== formatVersion)
    throw new AppError('journal_version', `${path} has format version ${String(version)}; this program knows ${String(formatVersion)}`);
  if (header.readUInt32BE(28) !== crc32(header.subarray(0, 28))) throw corrupt('header does not match its checksum');
  return { firstIndex: Number(header.readBigUInt64BE(12)), precedingBytes: Number(header.readBigUInt64BE(20)) };
}

/** Where a stretch of frames stands in one segment. */
export interface Stretch {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  /** Of each record, in order: what was written or verified at open. A disk that gives anything else has changed it. */
  readonly checksums: readonly number[];
}

/** No CRC-32 is negative. */
const damagedChecksum = -1;

export class Segment {
  readonly path: string;
  readonly firstIndex: number;
  /** End of the last record: where the next one goes. */
  size = segmentHeaderBytes;
  readonly #offsets: number[] = [];
  readonly #checksums: number[] = [];

  constructor(path: string, firstIndex: number) {
    this.path = path;
    this.firstIndex = firstIndex;
  }

  /** `firstIndex - 1` when it is empty. */
  get lastIndex(): number {
    return this.firstIndex + this.#offsets.length - 1;
  }

  /** Notes the record that follows the last one. */
  add(size: number, checksum: number): void {
    this.#offsets.push(this.size);
    this.#checksums.push(checksum);
    this.size += size;
  }

  /** Notes `frames` that are damaged; what is there in their place takes `bytes`. */
  skip(frames: number, bytes: number): void {
    for (let left = frames; left > 0; left -= 1) this.add(left === 1 ? bytes : 0, damagedChecksum);
  }

  /** Forgets the frames after `index`. */
  cut(index: number): void {
    const kept = index - this.firstIndex + 1;
    this.size = this.#offsets[kept] ?? this.size;
    this.#offsets.length = Math.min(kept, this.#offsets.length);
    this.#checksums.length = this.#offsets.length;
  }

  /** Begin of the record of `index` in the file. */
  startOf(index: number): number {
    return this.#offsets[index - this.firstIndex] ?? this.size;
  }

  /** End of the record of `index` in the file. */
  endOf(index: number): number {
    return this.startOf(index + 1);
  }

  /** As many frames from `index` up to `lastIndex` as fit into `maxBytes`, at least one. `index` must be in this segment. */
  stretch(index: number, maxBytes: number, lastIndex = this.lastIndex): Stretch {
    const at = index - this.firstIndex;
    const offset = this.startOf(index);
    let last = index;
    while (last < Math.min(lastIndex, this.lastIndex) && this.endOf(last + 1) - offset <= maxBytes) last += 1;
    return { path: this.path, offset, length: this.endOf(last) - offset, checksums: this.#checksums.slice(at, last + 1 - this.firstIndex) };
  }
}

/** The segments of a directory in order, each with a header that verifies. Whether they continue each other is for the scan to find. */
export async function openSegments(disk: Disk, directory: string): Promise<Segment[]> {
  const segments: Segment[] = [];
  const firstIndexes = (await disk.list(directory)).flatMap((name) => firstIndexOf(name) ?? []);
  for (const firstIndex of firstIndexes.sort((a, b) => a - b)) {
    const path = join(directory, segmentName(firstIndex));
    const bytes = await withFile(disk, path, 'read', (file) => file.read(0, segmentHeaderBytes));
    if (decodeSegmentHeader(bytes, path).firstIndex !== firstIndex)
      throw new AppError('journal_corrupt', `${path} at offset 0: begins at another index than its name says`);
    segments.push(new Segment(path, firstIndex));
  }
  return segments;
}
