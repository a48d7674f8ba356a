// Makes checkpoints in a thread of their own, so that a large state does not stop the writes.
// A thread that breaks (out of memory, killed) is an operating failure: logged, and told as internal_error. What its disk says is told as it is.
import { Worker } from 'node:worker_threads';
import { AppError, type ErrorCode } from '../../common/errors.ts';
import type { Checkpointer } from './checkpoint.ts';
import type { CheckpointFile } from './checkpoint-file.ts';
import type { SegmentReader } from './stretch.ts';

export type CheckpointOutcome =
  | { readonly kind: 'made'; readonly file: CheckpointFile }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly detail: string }
  | { readonly kind: 'failed'; readonly error: unknown };

const workerFile = new URL('./checkpoint-worker.ts', import.meta.url);

export const checkpointInThread =
  (log: SegmentReader['log'], file = workerFile): Checkpointer =>
  (plan) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(file, { workerData: plan });
      const broken = (error: unknown): void => {
        log.warn({ err: error }, 'the thread that makes a checkpoint broke');
        reject(new AppError('internal_error', 'the thread that makes a checkpoint broke', error));
      };
      let told = false;
      worker.once('message', (outcome: CheckpointOutcome) => {
        told = true;
        if (outcome.kind === 'made') resolve(outcome.file);
        else reject(outcome.kind === 'refused' ? new AppError(outcome.code, outcome.detail) : asError(outcome.error));
      });
      worker.once('error', (error) => {
        told = true;
        broken(error);
      });
      worker.once('exit', (code) => {
        if (!told) broken(new Error(`it ended with code ${String(code)}`));
      });
    });

const asError = (value: unknown): Error => (value instanceof Error ? value : new Error(String(value)));
