// Several threads that run batches of seeds side by side, and the sum of what came out. Seeds are given out in order; results come as they come.
import { Worker } from 'node:worker_threads';
import type { BatchOrder, BatchResult, Failure } from './batch.ts';
import type { SwarmChanges } from './swarm.ts';

const batchSeeds = 20;

export interface CrewOrder {
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly mutant: string | null;
  readonly changes: SwarmChanges;
  /** Milliseconds after which no further batch is begun. */
  readonly limitMs: number;
  readonly onProgress: (total: Total) => void;
}

export interface Total {
  seeds: number;
  steps: number;
  simulatedMs: number;
  readonly counts: Map<string, number>;
  readonly failures: Failure[];
}

/** A mutant is looked for only until it is found; otherwise all seeds are run. Rejects when a thread ends by itself. */
export async function runCrew(order: CrewOrder): Promise<Total> {
  const total: Total = { seeds: 0, steps: 0, simulatedMs: 0, counts: new Map(), failures: [] };
  const end = order.from + order.seeds;
  const deadlineMs = performance.now() + order.limitMs;
  let next = order.from;
  const isDone = (): boolean => next >= end || performance.now() >= deadlineMs || (order.mutant !== null && total.failures.length > 0);
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('batch.ts', import.meta.url), { workerData: { mutant: order.mutant } });
    try {
      while (!isDone()) {
        const from = next;
        const seeds = Math.min(batchSeeds, end - from);
        next += seeds;
        add(total, await runBatch(worker, { from, seeds, changes: order.changes }));
        order.onProgress(total);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: order.jobs }, work));
  total.failures.sort((a, b) => a.seed - b.seed);
  return total;
}

function runBatch(worker: Worker, order: BatchOrder): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number): void => {
      reject(new Error(`the thread ended with code ${String(code)} in seeds ${String(order.from)} and after`));
    };
    worker.once('error', reject);
    worker.once('exit', onExit);
    worker.once('message', (result: BatchResult) => {
      worker.off('error', reject);
      worker.off('exit', onExit);
      resolve(result);
    });
    worker.postMessage(order);
  });
}

function add(total: Total, { seeds, steps, simulatedMs, counts, failures }: BatchResult): void {
  total.seeds += seeds;
  total.steps += steps;
  total.simulatedMs += simulatedMs;
  for (const [what, times] of counts) total.counts.set(what, (total.counts.get(what) ?? 0) + times);
  total.failures.push(...failures);
}
