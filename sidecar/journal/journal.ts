// The journal of one member on its own disk: the authority on what this member has (design page 3, "Persistence", "Rewind"; ADR 11).
// A resolved write is durable, in the order hard state, archive, rewind, frames. What does not verify is refused, never served.
// It holds no lock: that one pod alone mounts the volume is taken for granted.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../core/frame.ts';
import type { HardState } from '../core/hard-state.ts';
import type { SnapshotHead, StateRecord } from '../core/snapshot.ts';
import type {
  Archive,
  ArchivedChange,
  ArchivedCopy,
  ArchivedTail,
  CopyRetention,
  DamagedFrames,
  Journal,
  JournalWrite,
  LogBase,
  PartialSnapshot,
  Snapshot,
} from '../ports.ts';
import { gzip } from './archive-copy.ts';
import { Archives } from './archives.ts';
import { makeCheckpoint, type Checkpointer } from './checkpoint.ts';
import { readRecords, type CheckpointFile } from './checkpoint-file.ts';
import { checkpointInThread } from './checkpoint-thread.ts';
import { Checkpoints } from './checkpoints.ts';
import { realDisk, removeUnfinished, type Disk } from './disk.ts';
import { FrameLog } from './frame-log.ts';
import { GroupCommit, type JournalStep } from './group-commit.ts';
import { defaultRoomBytes, defaultSegmentBytes, type JournalOptions } from './journal-options.ts';
import { IncomingSnapshot } from './incoming-snapshot.ts';
import { finishInstall, intendInstall } from './install.ts';
import { readHardState, writeHardState } from './hard-state-file.ts';
import { finishRewind } from './rewind.ts';
import { segmentHeaderBytes } from './segment.ts';
import { assertContinues, type SegmentReader } from './stretch.ts';
import { Turns } from './turns.ts';

interface Parts {
  readonly reader: SegmentReader;
  readonly directory: string;
  readonly hardState: HardState;
  readonly checkpoints: Checkpoints;
  readonly frames: FrameLog;
  readonly incoming: IncomingSnapshot;
  readonly checkpointer: Checkpointer;
}

/** Resumes what a crash interrupted and opens what is there. Rejects with AppError journal_corrupt, journal_version or disk_full. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, sha256, log, segmentBytes = defaultSegmentBytes, roomBytes = defaultRoomBytes, disk = realDisk } = options;
  assert(segmentBytes > segmentHeaderBytes, 'a segment has room for a frame');
  const reader = { disk, sha256, log };
  const [logDirectory, checkpointDirectory] = [join(directory, 'log'), join(directory, 'checkpoint')];
  const within = [logDirectory, checkpointDirectory, join(directory, 'archive')];
  for (const each of within) await disk.makeDirectory(each);
  for (const each of [directory, ...within]) await removeUnfinished(disk, each);
  // What an earlier process wrote and did not sync is read here as if it were durable: it has to be, before anything is built on it.
  for (const each of [...within, directory, dirname(directory)]) await disk.syncDirectory(each);
  await finishInstall(disk, checkpointDirectory, logDirectory);
  await finishRewind(disk, logDirectory, checkpointDirectory);
  const fresh = (await disk.list(logDirectory)).length === 0 && (await disk.list(checkpointDirectory)).length === 0;
  const hardState = await readHardState(disk, directory, fresh);
  const checkpoints = await Checkpoints.open(reader, checkpointDirectory);
  const place = { directory: logDirectory, checkpointDirectory, segmentBytes, roomBytes };
  const frames = await FrameLog.open(reader, place, checkpoints.newest?.head ?? null);
  const incoming = await IncomingSnapshot.open(disk, checkpointDirectory);
  const inThisThread: Checkpointer = (plan) => makeCheckpoint(reader, plan);
  const checkpointer = options.checkpointer ?? (options.disk === undefined ? checkpointInThread(log) : inThisThread);
  return new DiskJournal({ reader, directory, hardState, checkpoints, frames, incoming, checkpointer }, options);
}

class DiskJournal implements Journal {
  readonly #parts: Parts;
  readonly #options: JournalOptions;
  readonly #disk: Disk;
  readonly #archives: Archives;
  readonly #commits: GroupCommit;
  /** What reads the log or the checkpoints for long, and what takes parts of them away, take turns. Appending needs none. */
  readonly #turns = new Turns();
  readonly #receiving = new Turns();
  #hardState: HardState;
  #scan: 'due' | 'begun' | 'done' = 'due';
  #closed = false;

  constructor(parts: Parts, options: JournalOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#disk = parts.reader.disk;
    this.#archives = new Archives(this.#disk, join(parts.directory, 'archive'), options.log, options.compress ?? gzip);
    this.#hardState = parts.hardState;
    this.#commits = new GroupCommit({ carryOut: (batch) => this.#carryOut(batch), log: options.log, onFatal: options.onFatal });
  }

  get damage(): readonly DamagedFrames[] {
    return this.#parts.frames.holes.map(({ fromIndex, toIndex, hash, found }) => ({ fromIndex, toIndex, hash, found }));
  }

  repair(frames: readonly Frame[]): Promise<void> {
    return this.#orFatal(this.#turns.take(() => this.#parts.frames.repair(frames, this.checkpoint)));
  }

  beginBehindCheckpoint(): Promise<void> {
    return this.#orFatal(this.#turns.take(() => this.#parts.frames.beginBehind(this.checkpoint)));
  }

  get checkpoint(): SnapshotHead | null {
    return this.#parts.checkpoints.newest?.head ?? null;
  }

  checkpointState(): AsyncIterable<StateRecord> {
    const records = readRecords(this.#disk, this.#parts.checkpoints.newest);
    const next = (): Promise<IteratorResult<StateRecord>> => this.#untilDamaged(records.next());
    return { [Symbol.asyncIterator]: () => ({ next, return: () => records.return(undefined) }) };
  }

  get base(): LogBase {
    const { base: position } = this.#parts.frames;
    const history = (this.checkpoint?.history ?? []).filter(({ fromIndex }) => fromIndex <= position.index);
    return { position, history };
  }

  async *recovered(): AsyncGenerator<Frame> {
    assert.equal(this.#scan, 'due', 'recovered() is read once');
    const { frames } = this.#parts;
    const [hole] = frames.holes;
    if (hole !== undefined) throw new AppError('journal_corrupt', `${hole.found}; frames to ${String(hole.toIndex)} are missing`);
    this.#scan = 'begun';
    const covered = this.checkpoint?.position;
    for await (const frame of frames.from(frames.base.index + 1)) {
      const { index, hash } = frame;
      if (index === covered?.index && hash !== covered.hash)
        throw new AppError(
          'journal_corrupt',
          `${this.#parts.directory}: frame ${String(index)} is not the one that the checkpoint stands on`,
        );
      yield frame;
    }
    this.#scan = 'done';
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  write(step: JournalWrite): Promise<ArchivedTail | null> {
    const isAlone = step.frames === undefined && step.truncateTo === undefined;
    if (!isAlone || this.damage.length === 0) this.#assertScanned();
    return this.#commits.push(step);
  }

  async read(fromIndex: number, maxBytes: number): Promise<Frame[]> {
    this.#assertScanned();
    assert(fromIndex >= 1, 'frames are counted from 1');
    return this.#untilDamaged(this.#parts.frames.read(fromIndex, maxBytes));
  }

  makeCheckpoint(index: number): Promise<SnapshotHead> {
    return this.#maintain(async () => {
      const { checkpoints, checkpointer, frames } = this.#parts;
      assert(index >= 1 && index <= frames.end.index, 'a checkpoint is made of durable frames');
      const previous = checkpoints.newest;
      const reached = previous?.head.position.index ?? 0;
      if (previous !== null && reached >= index) return previous.head;
      const plan = { directory: checkpoints.directory, previous, stretches: frames.stretches(reached + 1, index) };
      return checkpoints.add(checkpointer(plan));
    });
  }

  compact(): Promise<number> {
    return this.#maintain(() => this.#parts.frames.compact(this.#parts.checkpoints.compactableIndex));
  }

  snapshot(): Snapshot | null {
    return this.#parts.checkpoints.snapshot();
  }

  readSnapshot(id: string, offset: number, maxBytes: number): Promise<Uint8Array | null> {
    return this.#untilDamaged(this.#parts.checkpoints.read(id, offset, maxBytes));
  }

  receivedSnapshot(): PartialSnapshot | null {
    return this.#parts.incoming.held;
  }

  receiveSnapshot(id: string, totalBytes: number, offset: number, chunk: Uint8Array): Promise<number> {
    return this.#orFatal(this.#receiving.take(() => this.#parts.incoming.receive(id, totalBytes, offset, chunk)));
  }

  async installSnapshot(id: string): Promise<ArchivedTail | null> {
    if (this.damage.length === 0) this.#assertScanned();
    return this.#receiving.take(async () => {
      const snapshot = await this.#orFatal(this.#parts.incoming.verified(id));
      return this.#commits.push({ snapshot });
    });
  }

  archives(): Promise<Archive[]> {
    return this.#archives.list();
  }

  archivedChanges(id: string): AsyncIterable<ArchivedChange> {
    return this.#archives.changes(id);
  }

  archiveCopy(timeMs: number, retention: CopyRetention): Promise<ArchivedCopy | null> {
    return this.#maintain(async () => this.#archives.copy(this.#parts.frames, this.#parts.checkpoints.newest, timeMs, retention));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#commits.close();
    await this.#turns.idle();
    await this.#receiving.idle();
    await this.#parts.frames.close();
  }

  #assertScanned(): void {
    assert.equal(this.#scan, 'done', 'recovered() is read to its end before the first read or write');
  }

  /** In its turn, once the log is read. */
  async #maintain<T>(work: () => Promise<T>): Promise<T> {
    this.#assertScanned();
    if (this.#closed) throw new AppError('stopping', 'the journal is closed');
    return this.#untilDamaged(this.#orFatal(this.#turns.take(work)));
  }

  /** Only the opening of a journal repairs damage (ADR 11): the process ends, and the next one does. */
  async #untilDamaged<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof AppError && error.code === 'journal_corrupt') this.#options.onFatal(error);
      throw error;
    }
  }

  /** Anything but an AppError is fatal, as it is in a write. */
  async #orFatal<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof AppError) throw error;
      this.#options.log.fatal({ err: error }, 'the journal does not know what its disk holds');
      this.#options.onFatal(error);
      throw error;
    }
  }

  #carryOut(batch: readonly JournalStep[]): Promise<ArchivedTail | null> {
    const { snapshot, truncateTo } = batch[0] ?? {};
    if (snapshot !== undefined) return this.#turns.take(() => this.#install(snapshot));
    return truncateTo === undefined ? this.#step(batch) : this.#turns.take(() => this.#step(batch));
  }

  async #step(batch: readonly JournalStep[]): Promise<ArchivedTail | null> {
    const { frames, directory, checkpoints } = this.#parts;
    const [first] = batch;
    const keepTo = first?.truncateTo ?? frames.end.index;
    const added = batch.flatMap((step) => step.frames ?? []);
    assert(
      [0, frames.end.index].includes(keepTo) || frames.base.index === 0 || (keepTo >= frames.base.index && checkpoints.reaches(keepTo)),
      'a rewind leaves a log from which the state can be built',
    );
    if (added.length > 0) assertContinues({ index: keepTo, hash: await frames.hashAt(keepTo) }, added);
    if (first?.hardState !== undefined) {
      await writeHardState(this.#disk, directory, first.hardState);
      this.#hardState = first.hardState;
    }
    if (keepTo < frames.end.index) return this.#replaceAfter(keepTo, added);
    if (added.length > 0) await frames.append(added);
    return null;
  }

  /** What lies beyond `index` is archived before it is replaced (I5). */
  async #replaceAfter(index: number, replacement: readonly Frame[]): Promise<ArchivedTail | null> {
    const { frames, checkpoints } = this.#parts;
    const isCompacted = index < frames.base.index;
    const tail = await (isCompacted ? this.#archives.all(frames, checkpoints.newest) : this.#archives.tail(frames, index + 1));
    await this.#archives.orForget(tail, () => frames.replaceAfter(index, replacement));
    checkpoints.forgetBeyond(index);
    return tail;
  }

  async #install(snapshot: CheckpointFile): Promise<ArchivedTail | null> {
    const { frames, checkpoints, incoming } = this.#parts;
    const tail = await this.#archives.notHeld(frames, snapshot.head, checkpoints.newest);
    await this.#archives.orForget(tail, () => intendInstall(this.#disk, checkpoints.directory, snapshot));
    await frames.restart(snapshot.head.position, async () => {
      const installed = await finishInstall(this.#disk, checkpoints.directory, join(this.#parts.directory, 'log'));
      if (installed !== null) checkpoints.replaceBy(installed);
    });
    incoming.held = null;
    return tail;
  }
}
