// The thread that makes one checkpoint and ends. It opens files by path, reads only the stretches that its plan names, and tells the outcome.
import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '../../common/errors.ts';
import { makeCheckpoint, type CheckpointPlan } from './checkpoint.ts';
import type { CheckpointOutcome } from './checkpoint-thread.ts';
import { realDisk } from './disk.ts';
import { sha256 } from './sha256.ts';

async function outcome(): Promise<CheckpointOutcome> {
  try {
    return { kind: 'made', file: await makeCheckpoint({ disk: realDisk, sha256 }, workerData as CheckpointPlan) };
  } catch (error) {
    return error instanceof AppError ? { kind: 'refused', code: error.code, detail: error.detail } : { kind: 'failed', error };
  }
}

parentPort?.postMessage(await outcome());
