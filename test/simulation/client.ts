// A client of the simulated cluster: one operation after the other through the Process API of whichever member it finds, with idempotency keys,
// preconditions and retries as a careful program has them. Keeps a history of what it asked and heard, and tells the oracles.
import { isAppError, type AppError } from '../../common/errors.ts';
import type { Change, Precondition } from '../../sidecar/core/frame.ts';
import type { Host } from './host.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { complain, count, type World } from './world.ts';

/** One operation as a checker of linearizability takes it; times are simulated. */
export interface HistoryEntry {
  readonly client: number;
  readonly key: string;
  readonly operation:
    | { readonly kind: 'put'; readonly value: string }
    | { readonly kind: 'cas'; readonly value: string; readonly expectedUid: number }
    | { readonly kind: 'delete' }
    | { readonly kind: 'read' };
  readonly invokedAtMs: number;
  /** `Infinity` when its outcome was never known. */
  returnedAtMs: number;
  outcome: { readonly kind: 'unknown' | 'refused' } | { readonly kind: 'ok'; readonly uid: number; readonly value?: string | undefined };
}

const maxAttempts = 5;
const retryPauseMs = 600;
/** Every call is answered within this time, whatever happens, unless its process ends or stands still. */
const answerLimitMs = 30_000;

export class Client {
  readonly history: HistoryEntry[] = [];
  /** Calls that were not answered yet. */
  pending = 0;
  readonly #world: World;
  readonly #number: number;
  readonly #mayAsk: () => boolean;
  #operations = 0;

  constructor(world: World, number: number, mayAsk: () => boolean) {
    this.#world = world;
    this.#number = number;
    this.#mayAsk = mayAsk;
    this.#thinkAgain();
  }

  #thinkAgain(): void {
    const { scheduler, chance, swarm } = this.#world;
    scheduler.later(chance.between(0, 2 * swarm.thinkMs), 'client', () => {
      const found = this.#mayAsk() ? this.#findMember() : null;
      if (found === null) this.#thinkAgain();
      else this.#ask(found);
    });
  }

  /** Mostly the leader, as through the Service; at times whoever runs. */
  #findMember(): Host | null {
    const { chance, hosts } = this.#world;
    const running = hosts.filter(({ process }) => process?.control !== null && process !== null);
    const leading = running.filter(({ process }) => process?.phase === 'Leading');
    if (running.length === 0) return null;
    return leading.length > 0 && chance.happens(0.7) ? chance.pick(leading) : chance.pick(running);
  }

  #ask(host: Host): void {
    const { chance, swarm } = this.#world;
    const key = `k${String(chance.below(swarm.keys))}`;
    const draw = chance.unit();
    if (draw < 0.3) this.#read(host, key, draw < 0.2);
    else this.#change(host, key);
  }

  #entry(key: string, operation: HistoryEntry['operation']): HistoryEntry {
    const invokedAtMs = this.#world.scheduler.nowMs;
    const entry: HistoryEntry = { client: this.#number, key, operation, invokedAtMs, returnedAtMs: Infinity, outcome: { kind: 'unknown' } };
    this.history.push(entry);
    return entry;
  }

  #read(host: Host, key: string, linearizably: boolean): void {
    const control = host.process?.control;
    if (control === null || control === undefined) return this.#thinkAgain();
    const { oracles, scheduler } = this.#world;
    const beforeUid = oracles.acknowledged.uid;
    const entry = linearizably ? this.#entry(key, { kind: 'read' }) : null;
    const work = async (): Promise<void> => {
      await control.waitFor(linearizably ? { kind: 'linearizable' } : { kind: 'local' });
      const uid = control.uid;
      const found = control.get(key);
      oracles.shown(host.pod, uid);
      if (linearizably) oracles.readLinearizably(host.pod, uid, beforeUid);
      oracles.readKey(host.pod, key, uid, found);
      count(this.#world, linearizably ? 'client: linearizable read' : 'client: local read');
      if (entry === null) return;
      entry.returnedAtMs = scheduler.nowMs;
      entry.outcome = { kind: 'ok', uid, value: found?.value as string | undefined };
    };
    this.#settle(host, work(), (error) => {
      if (entry !== null) entry.outcome = { kind: 'refused' };
      count(this.#world, `client: read ${error === null ? 'broken off' : error.code}`);
      this.#thinkAgain();
    });
  }

  #change(host: Host, key: string): void {
    const { chance } = this.#world;
    this.#operations += 1;
    const value = `${String(this.#number)}.${String(this.#operations)}`;
    const idempotencyKey = `key-${value}`;
    const draw = chance.unit();
    if (draw < 0.2) return this.#submit(host, key, { kind: 'delete' }, { operations: [{ delete: { key } }], idempotencyKey });
    if (draw < 0.6) return this.#submit(host, key, { kind: 'put', value }, { operations: [{ put: { key, value } }], idempotencyKey });
    const known = host.process?.control?.get(key);
    const precondition: Precondition = chance.happens(0.5) ? { key, uid: known?.uid ?? 0 } : { key, exists: known !== undefined };
    const change = { operations: [{ put: { key, value } }], preconditions: [precondition], idempotencyKey };
    this.#submit(host, key, { kind: 'cas', value, expectedUid: known?.uid ?? 0 }, change);
  }

  #submit(host: Host, key: string, operation: HistoryEntry['operation'], change: Change): void {
    this.#attempt(host, change, this.#entry(key, operation), maxAttempts, this.#world.oracles.acknowledged.uid);
  }

  #attempt(host: Host, change: Change, entry: HistoryEntry, left: number, beforeUid: number): void {
    const control = host.process?.control;
    const again = (): void => {
      if (left <= 1) return this.#thinkAgain();
      const { scheduler, chance } = this.#world;
      scheduler.later(chance.between(0, 2 * retryPauseMs), 'clientRetry', () => {
        this.#attempt(this.#findMember() ?? host, change, entry, left - 1, beforeUid);
      });
    };
    if (control === null || control === undefined) return again();
    const { oracles, scheduler } = this.#world;
    const work = control.submit(change).then(({ uid, epoch, duplicate }) => {
      count(this.#world, duplicate ? 'client: duplicate' : 'client: committed');
      this.#world.trace.say(scheduler.nowMs, `client-${String(this.#number)}`, `UID ${String(uid)} is acknowledged by ${host.pod}`);
      oracles.committed(change, uid, epoch);
      entry.returnedAtMs = scheduler.nowMs;
      entry.outcome = { kind: 'ok', uid };
    });
    this.#settle(host, work, (error) => {
      count(this.#world, `client: change ${error === null ? 'broken off' : error.code}`);
      if (error?.code !== 'conflict') return again();
      entry.returnedAtMs = scheduler.nowMs;
      entry.outcome = { kind: 'refused' };
      oracles.conflicted(change.preconditions ?? [], beforeUid);
      this.#thinkAgain();
    });
  }

  /** Waits for the answer, or for the end of the process that owes it. */
  #settle(host: Host, work: Promise<void>, onFailure: (error: AppError | null) => void): void {
    const { scheduler } = this.#world;
    const process = host.process;
    let isOver = false;
    this.pending += 1;
    const over = (then: () => void) => (): void => {
      if (isOver) return;
      isOver = true;
      this.pending -= 1;
      then();
    };
    const watch = (): void => {
      if (isOver) return;
      if (process?.dead !== false) return over(() => onFailure(null))();
      scheduler.later(1000, 'clientWatch', watch);
    };
    scheduler.later(1000, 'clientWatch', watch);
    this.#limit(host, process, () => isOver);
    work.then(
      over(() => this.#thinkAgain()),
      (error: unknown) => {
        if (!isAppError(error)) complain(this.#world, 'defect', `a caller got ${String(error)}`);
        over(() => onFailure(isAppError(error) ? error : null))();
      },
    );
  }

  #limit(host: Host, process: SidecarProcess | null, isOver: () => boolean): void {
    const { scheduler } = this.#world;
    const pauses = host.pauses;
    scheduler.later(answerLimitMs, 'clientLimit', () => {
      if (!isOver() && process?.dead === false && pauses === host.pauses && !host.paused)
        complain(this.#world, 'I10', `${host.pod} has not answered a caller for ${String(answerLimitMs)} ms`);
    });
  }
}
