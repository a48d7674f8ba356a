// Looks through the segments of a log when it is opened: where each record stands, where the log ends, and what of it is damaged.
// It verifies checksums only; that frames follow each other by the chain is verified when they are read.
// A torn end of the last segment is cut: what a crash left of the last, never confirmed batch. What is known to have been durable is never cut: it is a
// hole then (as in Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST '18). Damage to the last batch itself cannot be told
// from a torn write by one disk alone.
import { emptyPosition, type Position } from '../../common/position.ts';
import type { SnapshotHead } from '../core/snapshot.ts';
import type { DamagedFrames } from '../ports.ts';
import { withFile, type Disk, type DiskFile } from './disk.ts';
import type { StoredRecord } from './record.ts';
import { RecordSearch } from './record-search.ts';
import { segmentHeaderBytes, type Segment } from './segment.ts';
import { corrupt, frameOf, type ChainEnd, type SegmentReader } from './stretch.ts';

export interface Hole extends DamagedFrames {
  /** Hash of the frame before it; null when that is not known either. */
  readonly prevHash: string | null;
}

export interface Survey {
  readonly segments: Segment[];
  /** Null when the first frames are damaged. */
  readonly base: Position | null;
  readonly end: ChainEnd;
  readonly holes: readonly Hole[];
}

/** A hole that claims more frames is no damage that is worth a repair. Also a bound on the memory that damaged numbers may ask for. */
const maxHoleFrames = 1_000_000;

type OpenHole = Omit<Hole, 'toIndex' | 'hash'>;

/** `segments` as they were opened, in order; `checkpoint` is the newest valid one. Throws AppError journal_corrupt. */
export async function surveyLog(reader: SegmentReader, segments: Segment[], checkpoint: SnapshotHead | null): Promise<Survey> {
  const covered = checkpoint?.position ?? emptyPosition;
  const firstIndex = segments[0]?.firstIndex ?? covered.index + 1;
  if (firstIndex > covered.index + 1)
    throw corrupt(
      segments[0]?.path ?? '',
      `begins with index ${String(firstIndex)} at offset 0, and no checkpoint holds what lies before it`,
    );
  const surveyor = new Surveyor(reader, segments, covered);
  for (const position of segments.keys()) await surveyor.survey(position);
  return {
    segments,
    ...surveyor.finish(),
    base: firstIndex === covered.index + 1 ? covered : await baseOf(reader, segments[0], checkpoint),
  };
}

/** The position before the first frame of a segment that begins within what the checkpoint covers. */
async function baseOf(
  { disk, sha256 }: SegmentReader,
  segment: Segment | undefined,
  checkpoint: SnapshotHead | null,
): Promise<Position | null> {
  const index = (segment?.firstIndex ?? 1) - 1;
  if (segment === undefined || index === 0) return emptyPosition;
  const record = await withFile(disk, segment.path, 'read', async (file) =>
    new RecordSearch(file, await file.size()).at(segmentHeaderBytes),
  );
  const epoch = checkpoint?.history.findLast(({ fromIndex }) => fromIndex <= index)?.epoch;
  if (record.kind !== 'record' || epoch === undefined) return null;
  const frame = frameOf(record, sha256, segment.path, segmentHeaderBytes);
  return { epoch, uid: frame.firstUid - 1, index, hash: frame.prevHash };
}

class Surveyor {
  readonly #reader: SegmentReader;
  readonly #segments: readonly Segment[];
  /** Frames up to here were durable: a checkpoint stands on them. */
  readonly #covered: Position;
  readonly #holes: Hole[] = [];
  #open: OpenHole | null = null;
  #end: { index: number; hash: string | null };

  constructor(reader: SegmentReader, segments: readonly Segment[], covered: Position) {
    this.#reader = reader;
    this.#segments = segments;
    this.#covered = covered;
    const index = (segments[0]?.firstIndex ?? covered.index + 1) - 1;
    this.#end = { index, hash: index === covered.index ? covered.hash : index === 0 ? '' : null };
  }

  async survey(position: number): Promise<void> {
    const segment = this.#segments[position];
    if (segment === undefined) return;
    const next = this.#segments[position + 1]?.firstIndex ?? null;
    const { disk } = this.#reader;
    const fileBytes = await withFile(disk, segment.path, 'read', async (file) => {
      const bytes = await file.size();
      await this.#walk(segment, new RecordSearch(file, bytes), next);
      return bytes;
    });
    const [missing, rest] = [segment.lastIndex + 1, fileBytes - segment.size];
    const due = next ?? this.#covered.index + 1;
    if (next !== null && missing > next)
      throw corrupt(segment.path, `goes on beyond index ${String(next)}, with which the next one begins`);
    if (missing < due) {
      this.#skip(
        segment,
        due,
        rest,
        `ends at offset ${String(segment.size)} with index ${String(missing - 1)}, ${String(due - 1)} was durable`,
      );
      this.#end = { index: due - 1, hash: this.#end.hash };
    } else if (rest > 0) await this.#judgeRest(segment, fileBytes, next === null);
  }

  /** Notes records and holes between them, up to where nothing more is known to have been durable. */
  async #walk(segment: Segment, records: RecordSearch, next: number | null): Promise<void> {
    for (;;) {
      const offset = segment.size;
      const record = await records.at(offset);
      if (record.kind === 'record') {
        this.#take(segment, record, offset);
        continue;
      }
      const behind = offset < records.fileBytes ? await records.next(offset + 1) : null;
      const missing = segment.lastIndex + 1;
      if (behind === null || (next === null && missing > this.#covered.index && !(await records.proves(behind, missing)))) return;
      const { index } = frameOf(behind.record, this.#reader.sha256, segment.path, behind.offset);
      if (index <= missing || (next !== null && index >= next))
        throw corrupt(segment.path, `${record.error}, and index ${String(index)} stands at offset ${String(behind.offset)}`);
      this.#skip(segment, index, behind.offset - offset, record.error);
    }
  }

  #take(segment: Segment, record: StoredRecord, offset: number): void {
    segment.add(record.size, record.checksum);
    if (this.#open !== null) {
      const frame = frameOf(record, this.#reader.sha256, segment.path, offset);
      if (frame.index !== segment.lastIndex)
        throw corrupt(
          segment.path,
          `record at offset ${String(offset)} has index ${String(frame.index)} where ${String(segment.lastIndex)} belongs`,
        );
      this.#close(frame.index - 1, frame.prevHash);
    }
    this.#end = { index: segment.lastIndex, hash: record.hash };
  }

  /** What is there up to frame `index` is damaged and takes `bytes`. */
  #skip(segment: Segment, index: number, bytes: number, error: string): void {
    const fromIndex = segment.lastIndex + 1;
    if (index - fromIndex > maxHoleFrames) throw corrupt(segment.path, `${error}; ${String(index - fromIndex)} frames are missing`);
    this.#open ??= { fromIndex, prevHash: this.#end.hash, found: `${segment.path}: ${error}` };
    segment.skip(index - fromIndex, bytes);
  }

  #close(toIndex: number, hash: string): void {
    if (this.#open === null) return;
    const hole = { ...this.#open, toIndex, hash };
    this.#reader.log.warn(hole, 'frames of the journal are damaged');
    this.#holes.push(hole);
    this.#open = null;
  }

  /** Bytes behind the last record: room that was made for more, a torn end, or damage to that room. */
  async #judgeRest(segment: Segment, fileBytes: number, last: boolean): Promise<void> {
    const { disk, log } = this.#reader;
    const { path, size: offset } = segment;
    if (await withFile(disk, path, 'read', (file) => isZero(file, offset))) return;
    const found = { file: path, offset, bytes: fileBytes - offset };
    if (last) await cut(disk, path, offset);
    log.warn(found, last ? 'cut a torn end off the journal' : 'bytes behind the end of a sealed segment are not zero');
  }

  /** A hole at the very end is named by the checkpoint that stands on it. */
  finish(): { end: ChainEnd; holes: readonly Hole[] } {
    const { index, hash } = this.#end;
    if (this.#open !== null) {
      if (index !== this.#covered.index) throw corrupt(this.#open.found, 'and nothing names what belongs there');
      this.#close(index, this.#covered.hash);
      return { end: { index, hash: this.#covered.hash }, holes: this.#holes };
    }
    return { end: { index, hash: hash ?? '' }, holes: this.#holes };
  }
}

const zeroPieceBytes = 1024 * 1024;

async function isZero(file: DiskFile, from: number): Promise<boolean> {
  for (let offset = from; ; offset += zeroPieceBytes) {
    const bytes = await file.read(offset, zeroPieceBytes);
    if (bytes.length === 0) return true;
    if (bytes.some((byte) => byte !== 0)) return false;
  }
}

async function cut(disk: Disk, path: string, size: number): Promise<void> {
  await withFile(disk, path, 'write', async (file) => {
    await file.truncate(size);
    await file.datasync();
  });
}
