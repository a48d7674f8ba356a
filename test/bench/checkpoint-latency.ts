// How long a write takes while a member makes a checkpoint, beside those of the same minutes while none does: three real sidecars, a real nats-server
// and a real API server, and writers on connections of their own. That a checkpoint is under way is seen by its unfinished file.
// All share this machine, the writers too: the ratio tells, not the times.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../lib/eventually.ts';
import { SidecarCluster } from '../lib/sidecar-cluster.ts';

const pods = ['trading-0', 'trading-1', 'trading-2'];
const startMs = 60_000;
const lookEveryMs = 5;

export interface CheckpointLoad {
  readonly seconds: number;
  readonly connections: number;
  readonly valueBytes: number;
  readonly keys: number;
}

interface Figures {
  readonly writes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

export interface CheckpointLatency {
  readonly checkpoints: number;
  readonly without: Figures;
  readonly during: Figures;
  readonly p99Ratio: number;
}

export async function measureCheckpointLatency(load: CheckpointLoad, say: (line: string) => void): Promise<CheckpointLatency> {
  const cluster = await SidecarCluster.create();
  try {
    await cluster.startNats();
    for (const pod of pods) cluster.start(pod);
    await untilEach(pods, async (pod) => (await cluster.status(pod)).reason === 'StartRound');
    await cluster.openRound('trading-0');
    await untilEach(['trading-0'], async (pod) => (await cluster.status(pod)).phase === 'Leading');
    return await run(cluster, load, say);
  } finally {
    await cluster.stop();
  }
}

async function untilEach(of: readonly string[], isSo: (pod: string) => Promise<boolean>): Promise<void> {
  await eventually(async () => {
    for (const pod of of) if (!(await isSo(pod))) throw new Error(`the cluster does not start: ${pod} is not so far`);
  }, startMs);
}

async function run(cluster: SidecarCluster, load: CheckpointLoad, say: (line: string) => void): Promise<CheckpointLatency> {
  const watch = new CheckpointWatch(pods.map((pod) => join(cluster.sidecar(pod).dataDirectory, 'checkpoint')));
  const latencies = { without: [] as number[], during: [] as number[] };
  const endMs = performance.now() + load.seconds * 1000;
  const writer = async (name: number): Promise<void> => {
    for (let at = name; performance.now() < endMs; at += load.connections) {
      const [invokedMs, started] = [performance.now(), watch.underWay];
      await put(cluster, `key-${String(at % load.keys)}`, String(at).padEnd(load.valueBytes, 'x'));
      latencies[started || watch.underWay ? 'during' : 'without'].push(performance.now() - invokedMs);
    }
  };
  const progress = setInterval(() => {
    say(`${String(latencies.without.length + latencies.during.length)} writes, ${String(watch.count)} checkpoints`);
  }, 10_000);
  try {
    await Promise.all(Array.from({ length: load.connections }, (_, name) => writer(name)));
  } finally {
    clearInterval(progress);
    watch.stop();
  }
  const [without, during] = [figuresOf(latencies.without), figuresOf(latencies.during)];
  return { checkpoints: watch.count, without, during, p99Ratio: during.p99Ms / without.p99Ms };
}

async function put(cluster: SidecarCluster, key: string, value: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await cluster.call('trading-0', `/v1/state/${key}`, { method: 'PUT', headers, body: JSON.stringify(value) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`a write was not taken: ${text}`);
}

/** Counts the checkpoints of all members, and knows whether one is under way. */
class CheckpointWatch {
  count = 0;
  underWay = false;
  readonly #timer: NodeJS.Timeout;
  #unfinished: ReadonlySet<string> = new Set();

  constructor(directories: readonly string[]) {
    this.#timer = setInterval(() => {
      this.#look(directories);
    }, lookEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(directories: readonly string[]): void {
    const files = directories.flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)));
    const unfinished = new Set(files.filter((file) => file.endsWith('.checkpoint.unfinished')));
    for (const file of unfinished) if (!this.#unfinished.has(file)) this.count += 1;
    this.#unfinished = unfinished;
    this.underWay = unfinished.size > 0;
  }
}

function figuresOf(latencies: readonly number[]): Figures {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { writes: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1) };
}
