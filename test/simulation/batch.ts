// A thread that runs seeds: with a planted bug when it is asked to, which must be planted before the programs are loaded.
// Takes batches as messages and answers each with what came out.
import { parentPort, workerData } from 'node:worker_threads';
import { mutantNamed } from './mutants/catalogue.ts';
import { plant } from './mutants/mutant.ts';
import type { SwarmChanges } from './swarm.ts';
import type { Violation } from './world.ts';

export interface BatchOrder {
  readonly from: number;
  readonly seeds: number;
  readonly changes: SwarmChanges;
}

export interface Failure {
  readonly seed: number;
  readonly violation: Violation;
}

export interface BatchResult {
  readonly from: number;
  readonly seeds: number;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly failures: readonly Failure[];
}

const { mutant: name } = workerData as { mutant: string | null };
if (name !== null) plant(mutantNamed(name));
const { simulate } = await import('./simulation.ts');

async function runBatch({ from, seeds, changes }: BatchOrder): Promise<BatchResult> {
  const counts = new Map<string, number>();
  const failures: Failure[] = [];
  let steps = 0;
  let simulatedMs = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const result = await simulate(seed, changes);
    steps += result.steps;
    simulatedMs += result.simulatedMs;
    for (const [what, times] of result.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    if (result.violation === null) continue;
    failures.push({ seed, violation: result.violation });
    // One is enough to know that the bug is found.
    if (name !== null) break;
  }
  return { from, seeds, steps, simulatedMs, counts, failures };
}

parentPort?.on('message', (order: BatchOrder) => {
  void runBatch(order).then((result) => {
    parentPort?.postMessage(result);
  });
});
