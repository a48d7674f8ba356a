// The archive of one journal: tails that left the log, and copies. The journal builds on nothing of it; tails are read back for a replay.
import { emptyPosition, noEpoch, type Epoch } from '../../common/position.ts';
import { lastUid } from '../core/frame.ts';
import type { SnapshotHead } from '../core/snapshot.ts';
import type { Archive, ArchivedChange, ArchivedCopy, ArchivedTail, CopyRetention } from '../ports.ts';
import { AppError } from '../../common/errors.ts';
import { changesOf } from './archived-tail.ts';
import { archiveTail, listTails, removeArchive, tailFile } from './archive.ts';
import { archiveCopy, fileContent, frameLines, listCopies, retireCopies, type Compress, type CopySource } from './archive-copy.ts';
import type { CheckpointFile } from './checkpoint-file.ts';
import type { Disk } from './disk.ts';
import type { FrameLog } from './frame-log.ts';
import { firstNotHeld, holds, type HeldLog } from './install.ts';
import type { SegmentReader } from './stretch.ts';
import { Turns } from './turns.ts';

export class Archives {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #log: SegmentReader['log'];
  readonly #compress: Compress;
  /** Nothing is removed while a listing reads it. */
  readonly #turns = new Turns();

  constructor(disk: Disk, directory: string, log: SegmentReader['log'], compress: Compress) {
    this.#compress = compress;
    this.#disk = disk;
    this.#directory = directory;
    this.#log = log;
  }

  list(): Promise<Archive[]> {
    return this.#turns.take(async () => {
      const tails = await listTails(this.#disk, this.#directory, this.#log);
      return [...tails, ...(await listCopies(this.#disk, this.#directory, this.#log))];
    });
  }

  async *changes(id: string): AsyncGenerator<ArchivedChange> {
    const archive = (await this.list()).find((one) => one.id === id);
    if (archive === undefined)
      throw new AppError('not_found', 'This member has no archive of this id; /v1/archives lists those that it has.');
    if (archive.kind !== 'diverged')
      throw new AppError('invalid_request', `Archive ${id} is a ${archive.kind}: its changes are not there one by one.`);
    yield* changesOf(this.#disk, this.#directory, archive);
  }

  /** Archives the frames `from`..`to`; null when they hold no change. */
  async tail(frames: FrameLog, from: number, to = frames.end.index): Promise<ArchivedTail | null> {
    const [first, last] = [await frames.frameAt(from), await frames.frameAt(to)];
    return archiveTail(this.#disk, this.#directory, first, last, frames.from(from, to));
  }

  /** Archives a log that is given up whole, what is compacted included. */
  all(frames: FrameLog, checkpoint: CheckpointFile | null): Promise<ArchivedTail | null> {
    return this.notHeld(frames, { position: emptyPosition, history: [] }, checkpoint);
  }

  /** Archives the changes that a snapshot does not hold, as far as they can be read: what damage took, nobody has. Returns the last tail. */
  async notHeld(frames: FrameLog, head: HeldLog, checkpoint: CheckpointFile | null): Promise<ArchivedTail | null> {
    if (checkpoint !== null && frames.firstIndex > 1 && !holds(head, lastCompacted(checkpoint.head, frames.firstIndex)))
      await this.#keepState(frames, checkpoint);
    let tail: ArchivedTail | null = null;
    for (const [first, last] of frames.soundRuns) {
      const parted = await firstNotHeld(head, frames.from(first, last));
      if (parted !== null) tail = await this.tail(frames, parted, last);
    }
    return tail;
  }

  /** When nothing was taken out of the log the archive goes. After any failure but an AppError it may have been: the archive stays. */
  async orForget(tail: ArchivedTail | null, removal: () => Promise<void>): Promise<void> {
    try {
      await removal();
    } catch (error) {
      if (error instanceof AppError && tail !== null)
        await this.#turns.take(() => removeArchive(this.#disk, this.#directory, tailFile(tail.id)));
      throw error;
    }
  }

  /** Copies the checkpoint, or the log when there is none; null when that is empty. */
  async copy(frames: FrameLog, checkpoint: CheckpointFile | null, timeMs: number, retention: CopyRetention): Promise<ArchivedCopy | null> {
    const [disk, directory] = [this.#disk, this.#directory];
    if (frames.end.index === 0) return null;
    const source = checkpoint === null ? await sourceOf(frames) : this.#state(checkpoint);
    const copy = await archiveCopy(disk, directory, source, timeMs, 'copy', this.#compress);
    await this.#turns.take(async () => {
      const copies = (await listCopies(disk, directory, this.#log)).filter(({ kind }) => kind === 'copy');
      await retireCopies(disk, directory, copies, timeMs, retention);
    });
    return copy;
  }

  /** The state of a log that parted from its cluster's in what is compacted already: the changes that it had alone are in there (I5). */
  async #keepState(frames: FrameLog, checkpoint: CheckpointFile): Promise<void> {
    const { index } = frames.end;
    const timeMs = index < frames.firstIndex ? 0 : (await frames.frameAt(index)).timeMs;
    await archiveCopy(this.#disk, this.#directory, this.#state(checkpoint), timeMs, 'state', this.#compress);
  }

  #state({ head, path }: CheckpointFile): CopySource {
    return { kind: 'checkpoint', position: head.position, content: fileContent(this.#disk, path) };
  }
}

async function sourceOf(frames: FrameLog): Promise<CopySource> {
  const last = await frames.frameAt(frames.end.index);
  return { kind: 'frames', position: { uid: lastUid(last), hash: last.hash }, content: frameLines(frames.from(1)) };
}

/** Index and epoch of the frame before the first that is left, which lies within what the checkpoint covers. */
function lastCompacted({ history }: SnapshotHead, firstIndex: number): { index: number; epoch: Epoch } {
  const index = firstIndex - 1;
  return { index, epoch: history.findLast(({ fromIndex }) => fromIndex <= index)?.epoch ?? noEpoch };
}
