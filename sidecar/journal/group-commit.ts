// The queue of steps before the disk. Steps are carried out in order, one batch at a time; those that wait while a batch is under way share the next
// one, and with it one sync. A step that fails takes those behind it along: they build on it.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { ArchivedTail, JournalWrite } from '../ports.ts';
import type { CheckpointFile } from './checkpoint-file.ts';
import { recordSize } from './record.ts';

/** Steps, and bytes of their frames, that may wait or be under way; over it `push` rejects with AppError queue_full. */
export const maxQueuedSteps = 4096;
const maxQueuedBytes = 64 * 1024 * 1024;
/** Bytes of frames after which a batch takes no further step. */
const maxBatchBytes = 8 * 1024 * 1024;

/** A write, or a snapshot that takes the place of the log, in order with the writes. */
export interface JournalStep extends JournalWrite {
  readonly snapshot?: CheckpointFile;
}

interface Waiting {
  readonly step: JournalStep;
  readonly bytes: number;
  readonly resolve: (tail: ArchivedTail | null) => void;
  readonly reject: (error: AppError) => void;
}

export interface Committer {
  /** Makes a batch durable. Only its first step may have a hard state or a truncation; one with a snapshot is alone. An AppError rejects the steps; any other failure is fatal. */
  carryOut(batch: readonly JournalStep[]): Promise<ArchivedTail | null>;
  readonly log: Pick<Logger, 'fatal'>;
  /** Ends the process. Steps under way stay unanswered: it is not known what the disk holds. After a failed sync the kernel may call the same pages clean, so that trying again proves nothing (https://wiki.postgresql.org/wiki/Fsync_Errors). */
  readonly onFatal: (error: unknown) => void;
}

export class GroupCommit {
  readonly #committer: Committer;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #working: Promise<void> | null = null;
  #failed = false;
  #closed = false;

  constructor(committer: Committer) {
    this.#committer = committer;
  }

  push(step: JournalStep): Promise<ArchivedTail | null> {
    if (this.#closed) return Promise.reject(new AppError('stopping', 'the journal is closed'));
    const bytes = (step.frames ?? []).reduce((sum, frame) => sum + recordSize(frame), 0);
    if (this.#queue.length >= maxQueuedSteps || this.#queuedBytes + bytes > maxQueuedBytes)
      return Promise.reject(new AppError('queue_full', `${String(this.#queue.length)} steps wait for the disk of the journal`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ step, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#working ??= this.#work();
    });
  }

  /** Takes no more steps and waits for those that it has. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    // Steps pushed in one turn of the event loop share the first batch.
    await Promise.resolve();
    while (this.#queue.length > 0 && !this.#failed) {
      const batch = this.#nextBatch();
      try {
        const tail = await this.#committer.carryOut(batch);
        for (const { resolve } of this.#dequeue(batch.length)) resolve(tail);
      } catch (error) {
        if (error instanceof AppError) {
          for (const { reject } of this.#dequeue(this.#queue.length)) reject(error);
        } else {
          this.#failed = true;
          this.#committer.log.fatal({ err: error }, 'the journal does not know what its disk holds');
          this.#committer.onFatal(error);
        }
      }
    }
    this.#working = null;
  }

  /** The first step, and those after it that only append. */
  #nextBatch(): JournalStep[] {
    const batch: JournalStep[] = [];
    let batchBytes = 0;
    for (const { step, bytes } of this.#queue) {
      const onlyAppends = step.hardState === undefined && step.truncateTo === undefined && step.snapshot === undefined;
      if (batch.length > 0 && (!onlyAppends || batchBytes + bytes > maxBatchBytes)) break;
      batch.push(step);
      batchBytes += bytes;
      if (step.truncateTo !== undefined || step.snapshot !== undefined) break;
    }
    return batch;
  }

  #dequeue(count: number): Waiting[] {
    const done = this.#queue.splice(0, count);
    this.#queuedBytes -= done.reduce((sum, { bytes }) => sum + bytes, 0);
    return done;
  }
}
