// Makes a failing run simpler: the network and the stream lose nothing, faults are left out by kind and then one by one, the phase of faults is shorter,
// there are fewer clients; over and over until nothing helps, or the time is up. A step is kept when the same invariant still breaks.
// It does not look for the simplest run, only for a simple one.
import { simulate, type RunResult } from './simulation.ts';
import type { SwarmChanges } from './swarm.ts';

const shortestPhaseMs = 250;
/** A run that goes on for much longer is not simpler. */
const maxGrowth = 1.5;

export interface Shrunk {
  readonly changes: SwarmChanges;
  readonly result: RunResult;
}

export type Run = (seed: number, changes: SwarmChanges) => Promise<RunResult>;

/** `failed` is the run of its seed with `changes`; `run` gives others of that seed. */
export async function shrink(failed: RunResult, changes: SwarmChanges, limitMs: number, run: Run = simulate): Promise<Shrunk> {
  const shrinking = new Shrinking({ changes, result: failed }, run, performance.now() + limitMs);
  for (let before: Shrunk | null = null; before !== shrinking.best;) {
    before = shrinking.best;
    await shrinking.calm();
    await shrinking.leaveOutKinds();
    await shrinking.leaveOutSingleFaults();
    await shrinking.shorten();
    await shrinking.sendClientsAway();
  }
  return shrinking.best;
}

class Shrinking {
  best: Shrunk;
  readonly #run: Run;
  readonly #deadlineMs: number;

  constructor(best: Shrunk, run: Run, deadlineMs: number) {
    this.best = best;
    this.#run = run;
    this.#deadlineMs = deadlineMs;
  }

  async calm(): Promise<void> {
    if (this.best.changes.calmNetwork !== true) await this.#attempt({ calmNetwork: true });
  }

  /** Those that are left keep their numbers and their chance. */
  async leaveOutKinds(): Promise<void> {
    const kinds = new Set(this.best.result.injections.map(({ kind }) => kind));
    for (const kind of kinds) await this.#leaveOut(this.#numbers((each) => each === kind));
  }

  /** By halves, quarters and so on, as delta debugging does (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). */
  async leaveOutSingleFaults(): Promise<void> {
    for (let size = Math.ceil(this.#numbers().length / 2); size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      const numbers = this.#numbers();
      for (let at = 0; at < numbers.length; at += size) await this.#leaveOut(numbers.slice(at, at + size));
    }
  }

  async shorten(): Promise<void> {
    for (const part of [0.25, 0.5, 0.8])
      for (let isShorter = true; isShorter;) {
        const faultPhaseMs = Math.floor(this.best.result.swarm.faultPhaseMs * part);
        isShorter = faultPhaseMs >= shortestPhaseMs && (await this.#attempt({ faultPhaseMs }));
      }
  }

  async sendClientsAway(): Promise<void> {
    for (let clients = 1; clients < this.best.result.swarm.clients; clients += 1) if (await this.#attempt({ clients })) return;
  }

  #numbers(isMeant: (kind: string) => boolean = () => true): number[] {
    return this.best.result.injections.flatMap(({ number, kind }) => (isMeant(kind) ? [number] : []));
  }

  async #leaveOut(numbers: readonly number[]): Promise<void> {
    if (numbers.length > 0) await this.#attempt({ skipped: [...(this.best.changes.skipped ?? []), ...numbers] });
  }

  async #attempt(change: SwarmChanges): Promise<boolean> {
    if (performance.now() >= this.#deadlineMs) return false;
    const { seed, violation, steps } = this.best.result;
    const changes = { ...this.best.changes, ...change };
    const result = await this.#run(seed, changes);
    if (result.violation?.invariant !== violation?.invariant || result.steps > steps * maxGrowth) return false;
    this.best = { changes, result };
    return true;
  }
}
