// A run of the chaos: clients write and read all the time, one fault after the other hurts the cluster, and after each the cluster must serve again.
// At the end: all members have the same log and state, nothing acknowledged is missing (I2), nothing is there twice (I8), and the whole history
// is linearizable (I1, I9). The seed chooses the faults and what the clients do; the order of events is that of real processes, and not repeatable.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { checkLinearizable } from '../../lib/linearizability.ts';
import { eventually } from '../../lib/eventually.ts';
import { Chance } from '../../simulation/chance.ts';
import { ChaosClient } from './chaos-client.ts';
import { GatedCluster, pods } from '../../lib/gated-cluster.ts';
import { chosenFaults, type Fault } from './chaos-fault.ts';
import { LogAudit } from './log-audit.ts';
import { WriteGaps } from './write-gaps.ts';

const clientsOfEach = 3;
/** From the moment when a fault is over. */
const servedMs = 60_000;
const agreedMs = 60_000;
const maxStepsOfAKey = 500_000;

export interface ChaosOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Part of the names of the faults that happen. */
  readonly only: string;
  /** No round begins later. */
  readonly budgetMs: number;
  /** Where logs and history are kept when it fails. */
  readonly artifacts: string;
  readonly say: (line: string) => void;
}

export interface ChaosOutcome {
  readonly rounds: number;
  readonly changes: number;
  /** A sentence each; empty when all is well. */
  readonly problems: readonly string[];
}

export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const cluster = await GatedCluster.start();
  const run = new ChaosRun(options, cluster);
  try {
    const problems = await run.toTheEnd();
    if (problems.length > 0) await run.keep(problems);
    return { rounds: run.rounds, changes: run.changes, problems };
  } finally {
    await cluster.stop();
  }
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #cluster: GatedCluster;
  readonly #chance: Chance;
  readonly #clients: readonly ChaosClient[];
  readonly #audit = new LogAudit();
  readonly #gaps = new WriteGaps();
  rounds = 0;

  constructor(options: ChaosOptions, cluster: GatedCluster) {
    this.#options = options;
    this.#cluster = cluster;
    this.#chance = new Chance(options.seed);
    const sidecars = cluster.nodes.map(({ sidecar }) => sidecar);
    const homes = sidecars.flatMap((home) => Array.from({ length: clientsOfEach }, () => home));
    this.#clients = homes.map(
      (home, at) =>
        new ChaosClient({
          name: `c${String(at)}`,
          home,
          sidecars,
          chance: new Chance(options.seed + at + 1),
          keyspace: () => this.rounds,
          onAcknowledged: (invokedAt, returnedAt) => {
            this.#gaps.acknowledged(invokedAt, returnedAt);
          },
        }),
    );
  }

  get changes(): number {
    return this.#audit.uid;
  }

  /** What is wrong, a sentence each. */
  async toTheEnd(): Promise<string[]> {
    try {
      await this.#rounds();
      await this.#cluster.whole();
      await Promise.all(this.#clients.map((client) => client.stop()));
      return await this.#judge();
    } catch (error) {
      return [...this.#audit.problems, `after round ${String(this.rounds)}: ${inspect(error)}`];
    } finally {
      await Promise.all(this.#clients.map((client) => client.abandon()));
      for (const line of this.#gaps.table()) this.#options.say(line);
    }
  }

  async #rounds(): Promise<void> {
    const startedMs = performance.now();
    for (const client of this.#clients) client.start();
    for (const fault of chosenFaults(this.#chance, this.#options.only)) {
      const elapsedMs = performance.now() - startedMs;
      if (this.rounds >= this.#options.rounds || elapsedMs > this.#options.budgetMs) return;
      await this.#round(fault, elapsedMs);
      if (this.#audit.problems.length > 0) return;
    }
  }

  async #round(fault: Fault, elapsedMs: number): Promise<void> {
    this.rounds += 1;
    const beganMs = performance.now();
    if (fault.costsCopy) await this.#cluster.whole();
    await fault.happen({ cluster: this.#cluster, chance: this.#chance, served: () => this.#served() });
    await this.#served();
    if (fault.costsCopy) await this.#cluster.whole();
    const gapMs = this.#gaps.close(fault.name);
    await this.#audit.readOn((await this.#cluster.leader()).sidecar);
    const figures = [`gap ${String(gapMs)} ms`, `round ${String(Math.round(performance.now() - beganMs))} ms`];
    this.#options.say(`round ${String(this.rounds)} at ${String(Math.round(elapsedMs / 1000))} s: ${fault.name}: ${figures.join(', ')}`);
  }

  /** A change was acknowledged that was asked for after this call. */
  async #served(): Promise<void> {
    const sinceMs = performance.now();
    await eventually(() => {
      for (const { failure } of this.#clients) if (failure !== null) throw failure;
      if (this.#gaps.latestInvokedMs < sinceMs) throw new Error('no change is acknowledged any more');
    }, servedMs);
  }

  async #judge(): Promise<string[]> {
    const problems: string[] = [];
    const sidecars = this.#cluster.nodes.map(({ sidecar }) => sidecar);
    await eventually(async () => {
      const ends = (await this.#cluster.reports()).map(({ acknowledged, position }) => [acknowledged?.hash, position.hash]);
      if (ends.length !== pods.length || new Set(ends.flat()).size !== 1)
        throw new Error(`the members do not agree: ${JSON.stringify(ends)}`);
    }, agreedMs);
    await this.#audit.readOn((await this.#cluster.leader()).sidecar);
    for (const sidecar of sidecars) await this.#audit.compare(sidecar);
    const states = await Promise.all(sidecars.map(async (sidecar) => (await sidecar.call('/v1/state?limit=1000')).text()));
    if (new Set(states).size !== 1) problems.push('the members hold different states');
    const history = this.#clients.flatMap(({ attempts }) => attempts);
    problems.push(...this.#audit.problems, ...this.#audit.missing(history));
    const verdict = checkLinearizable(history, maxStepsOfAKey);
    if (verdict.kind !== 'linearizable') problems.push(`the history of ${verdict.key} is ${verdict.kind}: ${JSON.stringify(verdict)}`);
    return problems;
  }

  /** Leaves what is needed to find the cause. */
  async keep(problems: readonly string[]): Promise<void> {
    const { artifacts, seed, say } = this.#options;
    await mkdir(artifacts, { recursive: true });
    await this.#cluster.keepLogs(artifacts);
    const history = this.#clients.flatMap(({ attempts }) => attempts).sort((a, b) => a.invokedAt - b.invokedAt);
    await writeFile(join(artifacts, 'history.ndjson'), history.map((attempt) => `${JSON.stringify(attempt)}\n`).join(''));
    await writeFile(join(artifacts, 'problems.txt'), problems.join('\n'));
    say(`logs and history are in ${artifacts}; again: npm run chaos -- --rounds ${String(this.rounds)} --seed ${String(seed)}`);
  }
}
