// The log of frames in its segments: scanned once, then appended to, rewound and read.
// Callers see to it that changes come one at a time; reads may run beside them and see only what is durable.
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../core/frame.ts';
import type { LoggedFrame } from '../ports.ts';
import { noRoom, replaceFile, type DiskFile } from './disk.ts';
import { encodeRecord, recordSize } from './record.ts';
import { finishRewind, intendRewind } from './rewind.ts';
import { readStretch, scanSegment, type ChainEnd, type Previous, type SegmentReader } from './scan.ts';
import { encodeSegmentHeader, Segment, segmentName } from './segment.ts';

/** Bytes read at a time by `from`. */
const readAheadBytes = 4 * 1024 * 1024;

const totalSize = (frames: readonly LoggedFrame[]): number => frames.reduce((sum, logged) => sum + recordSize(logged), 0);

export class FrameLog {
  readonly #reader: SegmentReader;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #segments: Segment[];
  #end: ChainEnd = { index: 0, hash: '' };
  /** The last segment, open for writing; null until the first write to it. */
  #file: DiskFile | null = null;
  #rewinds = 0;
  #rewinding: Promise<void> | null = null;

  constructor(reader: SegmentReader, directory: string, segmentBytes: number, segments: Segment[]) {
    this.#reader = reader;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    this.#segments = segments;
  }

  /** The last durable frame. */
  get end(): ChainEnd {
    return this.#end;
  }

  async *scan(): AsyncGenerator<LoggedFrame> {
    for (const segment of this.#segments) {
      for await (const logged of scanSegment(this.#reader, segment, this.#end, segment === this.#segments.at(-1))) {
        this.#end = { index: logged.frame.index, hash: logged.frame.hash };
        yield logged;
      }
    }
  }

  /** Appends frames with one sync. On AppError disk_full none of them is kept; any other failure is fatal. */
  async append(frames: readonly LoggedFrame[]): Promise<void> {
    const segment = await this.#openSegment();
    this.#file ??= await this.#reader.disk.open(segment.path, 'write');
    const { bytes, checksums } = this.#encode(frames, this.#end.index);
    try {
      await this.#file.write(bytes, segment.size);
    } catch (error) {
      const why = noRoom(error);
      if (why instanceof AppError) {
        await this.#file.truncate(segment.size);
        await this.#file.datasync();
      }
      throw why;
    }
    await this.#file.datasync();
    this.#note(segment, frames, checksums);
  }

  /** Keeps frames 1..index and puts `frames` after them, all or nothing. AppError disk_full means nothing; any other failure is fatal. */
  async replaceAfter(index: number, frames: readonly LoggedFrame[]): Promise<void> {
    const hash = await this.hashAt(index);
    const kept = this.#segments.filter(({ firstIndex }) => firstIndex <= index);
    const precedingBytes = kept.at(-1)?.endOf(index) ?? 0;
    // The new segment is durable as one: each of its frames was when any of them can be seen.
    const { bytes, checksums } = this.#encode(frames, frames.at(-1)?.frame.index ?? index);
    await intendRewind(this.#reader.disk, this.#directory, { firstIndex: index + 1, precedingBytes }, bytes);
    this.#rewinding = this.#finishRewind(() => {
      kept.at(-1)?.cut(index);
      const segment = new Segment(join(this.#directory, segmentName(index + 1)), index + 1);
      this.#segments.splice(0, this.#segments.length, ...kept, segment);
      this.#end = { index, hash };
      this.#note(segment, frames, checksums);
    });
    await this.#rewinding;
    this.#rewinding = null;
  }

  /** Hash of a durable frame; `''` before the first. */
  async hashAt(index: number): Promise<string> {
    if (index === 0) return '';
    return index === this.#end.index ? this.#end.hash : (await this.frameAt(index)).hash;
  }

  async frameAt(index: number): Promise<Frame> {
    const [logged] = await this.read(index, 1);
    if (logged === undefined) throw new RangeError(`frame ${String(index)} is not in the log`);
    return logged.frame;
  }

  /** All frames from `index` on. */
  async *from(index: number): AsyncGenerator<LoggedFrame> {
    for (let next = index; next <= this.#end.index;) {
      const some = await this.read(next, readAheadBytes);
      yield* some;
      next += some.length;
    }
  }

  /** Frames from `index` on, `maxBytes` of records at most but at least one frame when there is one. Throws AppError journal_corrupt. */
  async read(index: number, maxBytes: number): Promise<LoggedFrame[]> {
    for (;;) {
      const rewinds = this.#rewinds;
      await this.#rewinding;
      try {
        return await this.#readDurable(index, maxBytes);
      } catch (error) {
        // A rewind took away what was being read.
        if (rewinds === this.#rewinds) throw error;
      }
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #readDurable(index: number, maxBytes: number): Promise<LoggedFrame[]> {
    const frames: LoggedFrame[] = [];
    let before: Previous = { index: index - 1, hash: null };
    for (let left = maxBytes; before.index < this.#end.index && left > 0;) {
      const next = before.index + 1;
      const segment = this.#segments.findLast(({ firstIndex }) => firstIndex <= next);
      if (segment === undefined) throw new RangeError(`frame ${String(next)} is in no segment`);
      const stretch = segment.stretch(next, left);
      if (frames.length > 0 && stretch.length > left) break;
      const some = await readStretch(this.#reader, stretch, before);
      frames.push(...some);
      left -= stretch.length;
      before = some.at(-1)?.frame ?? before;
    }
    return frames;
  }

  /** Reads wait for this, so that none sees the disk half way. */
  async #finishRewind(note: () => void): Promise<void> {
    this.#rewinds += 1;
    await this.close();
    try {
      await finishRewind(this.#reader.disk, this.#directory);
    } catch (error) {
      // The intent stands: only the next opening can say how far it came.
      throw new Error('a rewind stopped half way', { cause: error });
    }
    note();
  }

  /** The segment that the next batch goes to. A full one is sealed: it is durable to its end already. */
  async #openSegment(): Promise<Segment> {
    const current = this.#segments.at(-1);
    if (current !== undefined && current.size < this.#segmentBytes) return current;
    const firstIndex = this.#end.index + 1;
    const name = segmentName(firstIndex);
    await replaceFile(this.#reader.disk, this.#directory, name, [encodeSegmentHeader({ firstIndex, precedingBytes: current?.size ?? 0 })]);
    await this.close();
    const segment = new Segment(join(this.#directory, name), firstIndex);
    this.#segments.push(segment);
    return segment;
  }

  #encode(frames: readonly LoggedFrame[], durableIndex: number): { bytes: Buffer; checksums: number[] } {
    const bytes = Buffer.allocUnsafe(totalSize(frames));
    let at = 0;
    const checksums = frames.map((logged) => {
      const checksum = encodeRecord(logged, durableIndex, bytes, at);
      at += recordSize(logged);
      return checksum;
    });
    return { bytes, checksums };
  }

  #note(segment: Segment, frames: readonly LoggedFrame[], checksums: readonly number[]): void {
    frames.forEach((logged, at) => {
      segment.add(recordSize(logged), checksums[at] ?? 0);
    });
    const last = frames.at(-1)?.frame;
    if (last !== undefined) this.#end = { index: last.index, hash: last.hash };
  }
}
