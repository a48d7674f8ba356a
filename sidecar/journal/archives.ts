// The archive of one journal: tails that left the log, and copies. What is here is never read back by the journal; people and the API do.
import { lastUid } from '../core/frame.ts';
import type { ArchivedCopy, ArchivedTail, CopyRetention } from '../ports.ts';
import { AppError } from '../../common/errors.ts';
import { archiveTail, listTails, removeArchive, tailFile } from './archive.ts';
import { archiveCopy, fileContent, frameLines, listCopies, retireCopies, type CopySource } from './archive-copy.ts';
import type { CheckpointFile } from './checkpoint-file.ts';
import type { Disk } from './disk.ts';
import type { FrameLog } from './frame-log.ts';
import type { SegmentReader } from './stretch.ts';

export class Archives {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #log: SegmentReader['log'];

  constructor(disk: Disk, directory: string, log: SegmentReader['log']) {
    this.#disk = disk;
    this.#directory = directory;
    this.#log = log;
  }

  async list(): Promise<(ArchivedTail | ArchivedCopy)[]> {
    const tails = await listTails(this.#disk, this.#directory, this.#log);
    return [...tails, ...(await listCopies(this.#disk, this.#directory, this.#log))];
  }

  /** Archives the frames from `index` on; null when they hold no change. */
  async tail(frames: FrameLog, index: number): Promise<ArchivedTail | null> {
    const [first, last] = [await frames.frameAt(index), await frames.frameAt(frames.end.index)];
    return archiveTail(this.#disk, this.#directory, first, last, frames.from(index));
  }

  /** When nothing was taken out of the log the archive goes. After any failure but an AppError it may have been: the archive stays. */
  async orForget(tail: ArchivedTail | null, removal: () => Promise<void>): Promise<void> {
    try {
      await removal();
    } catch (error) {
      if (error instanceof AppError && tail !== null) await removeArchive(this.#disk, this.#directory, tailFile(tail.id));
      throw error;
    }
  }

  /** Copies the checkpoint, or the log when there is none; null when that is empty. */
  async copy(frames: FrameLog, checkpoint: CheckpointFile | null, timeMs: number, retention: CopyRetention): Promise<ArchivedCopy | null> {
    const [disk, directory] = [this.#disk, this.#directory];
    if (frames.end.index === 0) return null;
    const source = checkpoint === null ? await sourceOf(frames) : this.#state(checkpoint);
    const copy = await archiveCopy(disk, directory, source, timeMs, 'copy');
    const copies = await listCopies(disk, directory, this.#log);
    await retireCopies(
      disk,
      directory,
      copies.filter(({ kind }) => kind === 'copy'),
      timeMs,
      retention,
    );
    return copy;
  }

  /** The state of a log that parted from its cluster's in what is compacted already: the changes that it had alone are in there (I5). */
  async state(frames: FrameLog, checkpoint: CheckpointFile | null): Promise<void> {
    if (checkpoint === null) return;
    const timeMs = frames.end.index > frames.base.index ? (await frames.frameAt(frames.end.index)).timeMs : 0;
    await archiveCopy(this.#disk, this.#directory, this.#state(checkpoint), timeMs, 'state');
  }

  #state({ head, path }: CheckpointFile): CopySource {
    return { kind: 'checkpoint', position: head.position, content: fileContent(this.#disk, path) };
  }
}

async function sourceOf(frames: FrameLog): Promise<CopySource> {
  const last = await frames.frameAt(frames.end.index);
  return { kind: 'frames', position: { uid: lastUid(last), hash: last.hash }, content: frameLines(frames.from(1)) };
}
