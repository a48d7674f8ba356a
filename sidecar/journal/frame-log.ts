// The log of frames in its segments: surveyed once, then appended to, rewound, compacted and read.
// Callers see to it that changes come one at a time; reads may run beside them and see only what is durable.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import { emptyPosition, type Position } from '../../common/position.ts';
import type { SnapshotHead } from '../core/snapshot.ts';
import { endOf, type Frame } from '../core/frame.ts';
import { replaceFile, withFile } from './disk.ts';
import { encodeRecords, recordSize } from './record.ts';
import { fillHole, holeOf } from './repair.ts';
import { finishRewind, intendRewind } from './rewind.ts';
import { encodeSegmentHeader, openSegments, Segment, segmentName, type Stretch } from './segment.ts';
import { SegmentWriter } from './segment-writer.ts';
import { readStretch, type ChainEnd, type Previous, type SegmentReader } from './stretch.ts';
import { surveyLog, type Hole } from './survey.ts';

/** Bytes of a stretch: what is read at a time. */
const readAheadBytes = 4 * 1024 * 1024;

export interface LogPlace {
  readonly directory: string;
  readonly checkpointDirectory: string;
  readonly segmentBytes: number;
  /** A segment grows in steps of this, ahead of what is written: a sync need not make a new size durable each time (ADR 13). 0: it does not. */
  readonly roomBytes: number;
}

export class FrameLog {
  readonly #reader: SegmentReader;
  readonly #place: LogPlace;
  #segments: Segment[] = [];
  #base: Position | null = null;
  #end: ChainEnd = emptyPosition;
  #holes: readonly Hole[] = [];
  readonly #writer: SegmentWriter;
  /** Times that what could be read was taken away. */
  #removals = 0;
  #removing: Promise<void> | null = null;

  private constructor(reader: SegmentReader, place: LogPlace) {
    this.#reader = reader;
    this.#place = place;
    this.#writer = new SegmentWriter(reader.disk, place.roomBytes);
  }

  /** Throws AppError journal_corrupt or journal_version. */
  static async open(reader: SegmentReader, place: LogPlace, checkpoint: SnapshotHead | null): Promise<FrameLog> {
    const log = new FrameLog(reader, place);
    await log.#look(checkpoint);
    return log;
  }

  async #look(checkpoint: SnapshotHead | null): Promise<void> {
    const { disk } = this.#reader;
    const segments = await openSegments(disk, this.#place.directory);
    // What an earlier process wrote and did not sync must be durable before it is taken for that.
    const last = segments.at(-1);
    if (last !== undefined) await withFile(disk, last.path, 'write', (file) => file.datasync());
    const { base, end, holes } = await surveyLog(this.#reader, segments, checkpoint);
    [this.#segments, this.#base, this.#end, this.#holes] = [segments, base, end, holes];
  }

  /** Damage that `repair` has not filled. */
  get holes(): readonly Hole[] {
    return this.#holes;
  }

  /** Rejects with AppError journal_corrupt or disk_full; of a hole that lies in several segments a part may be filled then. */
  async repair(frames: readonly Frame[], checkpoint: SnapshotHead | null): Promise<void> {
    holeOf(frames, this.#holes);
    try {
      await fillHole(this.#reader.disk, this.#place.directory, this.#segments, frames);
    } finally {
      await this.#look(checkpoint);
    }
  }

  /** The position before the first frame. */
  get base(): Position {
    assert(this.#base !== null, 'the first frame is not damaged');
    return this.#base;
  }

  get firstIndex(): number {
    return this.#segments[0]?.firstIndex ?? this.#end.index + 1;
  }

  /** The last durable frame. */
  get end(): ChainEnd {
    return this.#end;
  }

  /** Appends frames with one sync. On AppError disk_full none of them is kept; any other failure is fatal. */
  async append(frames: readonly Frame[]): Promise<void> {
    const segment = await this.#openSegment();
    const { bytes, checksums } = encodeRecords(frames, this.#end.index);
    await this.#writer.append(segment, bytes);
    this.#note(segment, frames, checksums);
  }

  /** Keeps the frames up to `index`, none of a compacted log when that is 0, and puts `frames` after them, all or nothing. AppError disk_full means nothing; any other failure is fatal. */
  async replaceAfter(index: number, frames: readonly Frame[]): Promise<void> {
    return this.#replaceAfter({ index, hash: await this.hashAt(index) }, frames);
  }

  async #replaceAfter({ index, hash }: ChainEnd, frames: readonly Frame[]): Promise<void> {
    const { disk } = this.#reader;
    const { directory, checkpointDirectory } = this.#place;
    const kept = this.#segments.filter(({ firstIndex }) => firstIndex <= index);
    const precedingBytes = kept.at(-1)?.endOf(index) ?? 0;
    // The new segment is durable as one: each of its frames was when any of them can be seen.
    const { bytes, checksums } = encodeRecords(frames, frames.at(-1)?.index ?? index);
    await intendRewind(disk, directory, { firstIndex: index + 1, precedingBytes }, bytes);
    await this.#remove(async () => {
      await this.close();
      await finishRewind(disk, directory, checkpointDirectory);
      kept.at(-1)?.cut(index);
      const segment = new Segment(join(directory, segmentName(index + 1)), index + 1);
      this.#segments = [...kept, segment];
      if (index === 0) this.#base = emptyPosition;
      this.#end = { index, hash };
      this.#note(segment, frames, checksums);
    });
  }

  /** The log begins behind the checkpoint, and what is damaged before it is given up. The frames behind it, which must be sound, are in memory meanwhile. AppError disk_full means that nothing has changed. */
  async beginBehind(checkpoint: SnapshotHead | null): Promise<void> {
    const position = checkpoint?.position ?? emptyPosition;
    assert(
      this.#holes.every(({ toIndex }) => toIndex <= position.index),
      'the checkpoint holds what is damaged',
    );
    const rest: Frame[] = [];
    for await (const frame of this.from(position.index + 1)) rest.push(frame);
    await this.#replaceAfter(position, rest);
    await this.#remove(() => this.#removeFirst(this.#segments.length - 1, position));
    await this.#look(checkpoint);
  }

  /** Removes whole segments that hold nothing beyond `index`, but never the last one. Returns the first index that is left. */
  async compact(index: number): Promise<number> {
    const count = this.#segments.findIndex(({ lastIndex }, at) => lastIndex > index || at === this.#segments.length - 1);
    const last = this.#segments[count - 1];
    if (last !== undefined) {
      const base = endOf(await this.frameAt(last.lastIndex));
      await this.#remove(() => this.#removeFirst(count, base));
    }
    return this.base.index + 1;
  }

  async #removeFirst(count: number, base: Position): Promise<void> {
    const removed = this.#segments.slice(0, count);
    this.#base = base;
    this.#segments = this.#segments.slice(count);
    for (const { path } of removed) {
      await this.#reader.disk.remove(path);
      // One by one: a power loss must not leave the older of two.
      await this.#reader.disk.syncDirectory(this.#place.directory);
    }
  }

  /** The log is empty after `position`: `removal` takes all segments away. */
  async restart(position: Position, removal: () => Promise<void>): Promise<void> {
    await this.#remove(async () => {
      await this.close();
      await removal();
      [this.#segments, this.#base, this.#end, this.#holes] = [[], position, position, []];
    });
  }

  /** What is under way here makes the disk and the log differ: readers wait. When it fails, only the next opening can say how far it came. */
  async #remove(removal: () => Promise<void>): Promise<void> {
    this.#removals += 1;
    this.#removing = removal();
    try {
      await this.#removing;
    } catch (error) {
      throw new Error('a removal of frames stopped half way', { cause: error });
    }
    this.#removing = null;
  }

  /** Hash of a durable frame; of the one before the first, and of none at index 0, too. */
  async hashAt(index: number): Promise<string> {
    const known = [emptyPosition, this.base, this.#end].find((each) => each.index === index);
    return known?.hash ?? (await this.frameAt(index)).hash;
  }

  /** What takes frames away must wait for its end. */
  async frameAt(index: number): Promise<Frame> {
    for await (const frame of this.from(index, index)) return frame;
    throw new RangeError(`frame ${String(index)} is not in the log`);
  }

  /** The frames `first`..`last`, none of which is damaged. What takes frames away must wait for its end. */
  async *from(first: number, last = this.#end.index): AsyncGenerator<Frame> {
    let before: Previous = first - 1 === this.#base?.index ? this.#base : { index: first - 1, hash: null };
    for (const stretch of this.stretches(first, last)) {
      const some = await readStretch(this.#reader, stretch, before);
      before = some.at(-1) ?? before;
      yield* some;
    }
  }

  /** First and last index of each run of frames without damage. */
  get soundRuns(): [number, number][] {
    const starts = [this.firstIndex, ...this.#holes.map(({ toIndex }) => toIndex + 1)];
    const ends = [...this.#holes.map(({ fromIndex }) => fromIndex - 1), this.#end.index];
    return starts.map((start, at): [number, number] => [start, ends[at] ?? 0]).filter(([first, last]) => first <= last);
  }

  /** Where the frames `first`..`last` stand, in pieces that fit into memory. */
  stretches(first: number, last: number): Stretch[] {
    const found: Stretch[] = [];
    for (let next = first; next <= Math.min(last, this.#end.index);) {
      const stretch = this.#segmentOf(next).stretch(next, readAheadBytes, last);
      found.push(stretch);
      next += stretch.checksums.length;
    }
    return found;
  }

  /** Frames from `index` on, `maxBytes` of records at most but at least one frame when there is one. Throws AppError journal_corrupt or compacted. */
  async read(index: number, maxBytes: number): Promise<Frame[]> {
    for (;;) {
      const removals = this.#removals;
      await this.#removing;
      try {
        return await this.#readDurable(index, maxBytes);
      } catch (error) {
        // What was being read was taken away.
        if (removals === this.#removals) throw error;
      }
    }
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  async #readDurable(index: number, maxBytes: number): Promise<Frame[]> {
    const { base } = this;
    if (index <= base.index) throw new AppError('compacted', `the log begins with frame ${String(base.index + 1)}`);
    const frames: Frame[] = [];
    let before: Previous = index - 1 === base.index ? base : { index: index - 1, hash: null };
    for (let left = maxBytes; before.index < this.#end.index && left > 0;) {
      const stretch = this.#segmentOf(before.index + 1).stretch(before.index + 1, left);
      if (frames.length > 0 && stretch.length > left) break;
      const some = await readStretch(this.#reader, stretch, before);
      frames.push(...some);
      left -= stretch.length;
      before = some.at(-1) ?? before;
    }
    return frames;
  }

  #segmentOf(index: number): Segment {
    const segment = this.#segments.findLast(({ firstIndex }) => firstIndex <= index);
    if (segment === undefined) throw new RangeError(`frame ${String(index)} is in no segment`);
    return segment;
  }

  /** The segment that the next batch goes to. A full one is sealed: it is durable to its end already. */
  async #openSegment(): Promise<Segment> {
    const current = this.#segments.at(-1);
    if (current !== undefined && current.size < this.#place.segmentBytes) return current;
    const { directory } = this.#place;
    const firstIndex = this.#end.index + 1;
    const name = segmentName(firstIndex);
    await replaceFile(this.#reader.disk, directory, name, [encodeSegmentHeader({ firstIndex, precedingBytes: current?.size ?? 0 })]);
    await this.close();
    const segment = new Segment(join(directory, name), firstIndex);
    this.#segments.push(segment);
    return segment;
  }

  #note(segment: Segment, frames: readonly Frame[], checksums: readonly number[]): void {
    frames.forEach((frame, at) => {
      segment.add(recordSize(frame), checksums[at] ?? 0);
    });
    const last = frames.at(-1);
    if (last !== undefined) this.#end = { index: last.index, hash: last.hash };
  }
}
