// Clients that write and read through all sidecars as long as they are told to: puts and deletes, with and without conditions, and linearizable
// reads. What has no known outcome is sent again with the same idempotency key, to another sidecar, until it is known.
// They keep what they did and what they were told, with nothing left out but reads that told nothing. They judge nothing but the form of an
// answer: one that the Process API does not promise ends the client.
import { setTimeout as pause } from 'node:timers/promises';
import type { Chance } from '../../simulation/chance.ts';
import type { Attempt, Condition, KeyOperation, Result } from '../../lib/client-history.ts';
import type { SidecarProcess } from '../../lib/sidecar-process.ts';

const attemptMs = 1500;
const retryMs = 40;
/** Between two operations of one client: the machine is there for the sidecars. */
const restMs = 15;
const keysAtATime = 4;

/** Codes that say that the change was not made and will not be. */
const refusals: ReadonlySet<string> = new Set(['no_leader', 'not_in_sync', 'queue_full', 'stopping']);

export interface ClientOptions {
  readonly name: string;
  /** Asked first; what has no outcome is asked of any. */
  readonly home: SidecarProcess;
  readonly sidecars: readonly SidecarProcess[];
  readonly chance: Chance;
  /** Number of the set of keys that is written now: each is left after a while, so that its history stays short. */
  readonly keyspace: () => number;
  /** Told of each change that is acknowledged: when it was asked for, and when the answer came. */
  readonly onAcknowledged: (invokedAt: number, returnedAt: number) => void;
}

export class ChaosClient {
  readonly attempts: Attempt[] = [];
  /** What ended it before its time. */
  failure: Error | null = null;
  readonly #options: ClientOptions;
  readonly #seen = new Map<string, number>();
  #serial = 0;
  #running = true;
  #abandoned = false;
  #work: Promise<void> = Promise.resolve();

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#work = this.#run().catch((error: unknown) => {
      this.failure = new Error(`client ${this.#options.name} ended`, { cause: error });
    });
  }

  /** Resolves when what is under way has an outcome. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#work;
  }

  /** What is under way is left without an outcome. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    await this.stop();
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const key = `k${String(this.#options.keyspace())}-${String(this.#options.chance.below(keysAtATime))}`;
      const op = this.#choose(key);
      if (op.kind === 'read') await this.#attempt(this.#options.home, key, op);
      else await this.#change(key, op);
      await pause(restMs);
    }
  }

  #choose(key: string): KeyOperation {
    const dice = this.#options.chance.unit();
    if (dice < 0.25) return { kind: 'read' };
    const seen = this.#seen.get(key);
    const condition: Condition | undefined = this.#options.chance.happens(0.4)
      ? seen === undefined
        ? { exists: false }
        : { uid: seen }
      : undefined;
    const conditional = condition === undefined ? {} : { condition };
    if (dice < 0.32) return { kind: 'delete', ...conditional };
    return { kind: 'put', value: `${this.#options.name}-${String(this.#serial)}`, ...conditional };
  }

  async #change(key: string, op: KeyOperation): Promise<void> {
    this.#serial += 1;
    const idempotencyKey = `${this.#options.name}-${String(this.#serial)}`;
    const isSentTwice = this.#options.chance.happens(0.05);
    const anybody = (): SidecarProcess => this.#options.chance.pick(this.#options.sidecars);
    for (let asked = this.#options.home; ; asked = anybody()) {
      const result = await this.#attempt(asked, key, op, idempotencyKey);
      if (result.kind === 'written' || result.kind === 'conflict') break;
      if (this.#abandoned) return;
      await pause(retryMs);
    }
    if (isSentTwice) await this.#attempt(anybody(), key, op, idempotencyKey);
  }

  async #attempt(sidecar: SidecarProcess, key: string, op: KeyOperation, idempotencyKey?: string): Promise<Result> {
    const invokedAt = performance.now();
    const result = await ask(sidecar, key, op, idempotencyKey).catch(outcomeOfFailure);
    const returnedAt = result.kind === 'unknown' ? null : performance.now();
    this.#learn(key, result);
    if (result.kind === 'written') this.#options.onAcknowledged(invokedAt, performance.now());
    if (op.kind !== 'read' || result.kind === 'value')
      this.attempts.push({
        client: this.#options.name,
        key,
        op,
        ...(idempotencyKey !== undefined && { idempotencyKey }),
        invokedAt,
        returnedAt,
        result,
      });
    return result;
  }

  #learn(key: string, result: Result): void {
    if (result.kind === 'value' && result.value === null) this.#seen.delete(key);
    else if ('uid' in result) this.#seen.set(key, result.uid);
  }
}

/** What `fetch` rejects with when a connection breaks or the time is over. By name: a test has another TypeError than the platform. */
const connectionFailures: ReadonlySet<string> = new Set(['TypeError', 'TimeoutError', 'AbortError']);

/** Nobody has taken the change when there was nobody to connect to. */
function outcomeOfFailure(error: unknown): Result {
  const { name, cause } = error as { name: string; cause?: { code?: string } };
  if (!connectionFailures.has(name)) throw error;
  return cause?.code === 'ECONNREFUSED' ? { kind: 'refused' } : { kind: 'unknown' };
}

async function ask(sidecar: SidecarProcess, key: string, op: KeyOperation, idempotencyKey = ''): Promise<Result> {
  const signal = AbortSignal.timeout(attemptMs);
  if (op.kind === 'read') {
    const answer = await sidecar.call(`/v1/state/${key}?consistency=linearizable`, { signal });
    const body = (await answer.json()) as { value: string; uid: number };
    if (answer.status === 404) return { kind: 'value', value: null };
    return answer.ok ? { kind: 'value', value: body.value, uid: body.uid } : { kind: 'unknown' };
  }
  const headers = { 'idempotency-key': idempotencyKey, ...conditionHeader(op.condition) };
  const init: RequestInit =
    op.kind === 'delete'
      ? { method: 'DELETE', headers, signal }
      : { method: 'PUT', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(op.value), signal };
  const answer = await sidecar.call(`/v1/state/${key}`, init);
  const body = (await answer.json()) as { uid: number; code: string };
  if (answer.ok) return { kind: 'written', uid: body.uid };
  if (answer.status === 412) return { kind: 'conflict' };
  if (answer.status !== 503) throw new Error(`${sidecar.pod} answers ${String(answer.status)}: ${JSON.stringify(body)}`);
  return { kind: refusals.has(body.code) ? 'refused' : 'unknown' };
}

function conditionHeader(condition: Condition | undefined): Record<string, string> {
  if (condition === undefined) return {};
  return condition.uid === undefined ? { 'if-none-match': '*' } : { 'if-match': `"${String(condition.uid)}"` };
}
