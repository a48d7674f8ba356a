// A client of the simulated cluster: one operation after the other through the Process API of whichever member it finds, with idempotency keys,
// preconditions and retries as a careful program has them. Keeps a history of what it asked and heard, and tells the oracles.
import { isAppError, type AppError, type ErrorCode } from '../../common/errors.ts';
import type { Change } from '../../sidecar/core/frame.ts';
import type { Attempt, Condition, KeyOperation, Result } from '../lib/client-history.ts';
import { complain, count, type RunningSidecar, type SimulatedHost, type World } from './world.ts';

/** An attempt whose answer is filled in when it comes. */
type OpenAttempt = { -readonly [Part in keyof Attempt]: Attempt[Part] };

/** Refusals that say for certain that the change did not happen and never will. */
const withoutEffect: ReadonlySet<ErrorCode> = new Set(['no_leader', 'stopping', 'queue_full', 'always_follower']);

/** A change that a client wants, over all its attempts. */
interface Wish {
  readonly key: string;
  readonly op: KeyOperation;
  readonly change: Change;
  /** UID that was acknowledged when it was first asked for. */
  readonly beforeUid: number;
}

const maxAttempts = 5;
const maxCallMs = 1;
/** A client waits so long, then it tries again, perhaps elsewhere. */
const patienceMs = 4000;
const retryPauseMs = 600;
/** Every call is answered within this time, whatever happens, unless its process ends or stands still. */
const answerLimitMs = 30_000;

export class Client {
  readonly history: Attempt[] = [];
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
  #findMember(): SimulatedHost | null {
    const { chance, hosts } = this.#world;
    const running = hosts.filter(({ process }) => process?.control !== null && process !== null);
    const leading = running.filter(({ process }) => process?.phase === 'Leading');
    if (running.length === 0) return null;
    return leading.length > 0 && chance.happens(0.7) ? chance.pick(leading) : chance.pick(running);
  }

  #ask(host: SimulatedHost): void {
    const { chance, swarm } = this.#world;
    const key = `k${String(chance.below(swarm.keys))}`;
    const draw = chance.unit();
    if (draw < 0.3) this.#read(host, key, draw < 0.2);
    else this.#change(host, key);
  }

  #opened(key: string, op: KeyOperation, idempotencyKey?: string): OpenAttempt {
    const invokedAt = this.#world.scheduler.nowMs;
    const named = idempotencyKey === undefined ? {} : { idempotencyKey };
    const attempt: OpenAttempt = {
      client: String(this.#number),
      key,
      op,
      ...named,
      invokedAt,
      returnedAt: null,
      result: { kind: 'unknown' },
    };
    this.history.push(attempt);
    return attempt;
  }

  #answered(attempt: OpenAttempt, result: Result): void {
    attempt.returnedAt = this.#world.scheduler.nowMs;
    attempt.result = result;
  }

  #read(host: SimulatedHost, key: string, linearizably: boolean): void {
    const control = host.process?.control;
    if (control === null || control === undefined) return this.#thinkAgain();
    const { oracles } = this.#world;
    const beforeUid = oracles.acknowledged.uid;
    const attempt = linearizably ? this.#opened(key, { kind: 'read' }) : null;
    const work = this.#reach(host, async () => {
      await control.waitFor(linearizably ? { kind: 'linearizable' } : { kind: 'local' });
      const uid = control.uid;
      const found = control.get(key);
      oracles.shown(host.pod, uid);
      if (linearizably) oracles.readLinearizably(host.pod, uid, beforeUid);
      oracles.readKey(host.pod, key, uid, found);
      count(this.#world, linearizably ? 'client: linearizable read' : 'client: local read');
      const value = found === undefined ? null : JSON.stringify(found.value);
      if (attempt !== null) this.#answered(attempt, { kind: 'value', value, ...(found === undefined ? {} : { uid: found.uid }) });
    });
    this.#settle(host, work, (error) => {
      if (attempt !== null) this.#answered(attempt, { kind: 'refused' });
      count(this.#world, `client: read ${error === null ? 'broken off' : error.code}`);
      this.#thinkAgain();
    });
  }

  #change(host: SimulatedHost, key: string): void {
    const { chance } = this.#world;
    this.#operations += 1;
    const value = `${String(this.#number)}.${String(this.#operations)}`;
    const idempotencyKey = `key-${value}`;
    const known = host.process?.control?.get(key);
    const draw = chance.unit();
    const condition: Condition | null = draw < 0.5 ? null : draw < 0.75 ? { uid: known?.uid ?? 0 } : { exists: known !== undefined };
    const preconditions = condition === null ? {} : { preconditions: [{ key, ...condition }] };
    const conditional = condition === null ? {} : { condition };
    const deletes = chance.happens(0.2);
    const operation = deletes ? { delete: { key } } : { put: { key, value } };
    const op: KeyOperation = deletes ? { kind: 'delete', ...conditional } : { kind: 'put', value: JSON.stringify(value), ...conditional };
    const change = { operations: [operation], ...preconditions, idempotencyKey };
    this.#attempt(host, { key, op, change, beforeUid: this.#world.oracles.acknowledged.uid }, maxAttempts);
  }

  /** A call reaches its process when that runs: one that stands still takes it late. */
  #reach<T>(host: SimulatedHost, call: () => Promise<T>): Promise<T> {
    const { scheduler, chance } = this.#world;
    const where = host.process === null ? { machine: host } : { machine: host, life: host.process };
    return new Promise((resolve, reject) => {
      scheduler.after(chance.between(0, maxCallMs), 'call', where, () => {
        call().then(resolve, reject);
      });
    });
  }

  #attempt(host: SimulatedHost, wish: Wish, left: number): void {
    const control = host.process?.control;
    const again = (): void => {
      if (left <= 1) return this.#thinkAgain();
      const { scheduler, chance } = this.#world;
      scheduler.later(chance.between(0, 2 * retryPauseMs), 'clientRetry', () => {
        this.#attempt(this.#findMember() ?? host, wish, left - 1);
      });
    };
    if (control === null || control === undefined) return again();
    const { oracles, scheduler } = this.#world;
    const { change } = wish;
    const attempt = this.#opened(wish.key, wish.op, change.idempotencyKey);
    const work = this.#reach(host, () => control.submit(change)).then(({ uid, epoch, duplicate }) => {
      count(this.#world, duplicate ? 'client: duplicate' : 'client: committed');
      this.#world.trace.say(scheduler.nowMs, `client-${String(this.#number)}`, `UID ${String(uid)} is acknowledged by ${host.pod}`);
      oracles.committed(change, uid, epoch);
      this.#answered(attempt, { kind: 'written', uid });
    });
    this.#settle(host, work, (error) => {
      count(this.#world, `client: change ${error === null ? 'broken off' : error.code}`);
      if (error !== null && withoutEffect.has(error.code)) this.#answered(attempt, { kind: 'refused' });
      if (error?.code !== 'conflict') return again();
      this.#answered(attempt, { kind: 'conflict' });
      oracles.conflicted(change.preconditions ?? [], wish.beforeUid);
      this.#thinkAgain();
    });
  }

  /** Waits for the answer, as long as its patience lasts and the process lives. */
  #settle(host: SimulatedHost, work: Promise<void>, onFailure: (error: AppError | null) => void): void {
    const { scheduler } = this.#world;
    const { process } = host;
    let isOver = false;
    this.pending += 1;
    const end = (then: () => void): void => {
      if (isOver) return;
      isOver = true;
      this.pending -= 1;
      then();
    };
    scheduler.later(patienceMs, 'clientPatience', () => {
      end(() => onFailure(null));
    });
    const isAnswered = this.#mustAnswer(host, process);
    work.then(
      () => {
        isAnswered();
        end(() => this.#thinkAgain());
      },
      (error: unknown) => {
        isAnswered();
        if (!isAppError(error)) complain(this.#world, 'defect', `a caller got ${String(error)}`);
        end(() => onFailure(isAppError(error) ? error : null));
      },
    );
  }

  /** A process that lives, and that never stood still meanwhile, answers in time (I10). */
  #mustAnswer(host: SimulatedHost, process: RunningSidecar | null): () => void {
    const { pauses } = host;
    let answered = false;
    this.#world.scheduler.later(answerLimitMs, 'clientLimit', () => {
      if (!answered && process?.dead === false && pauses === host.pauses && !host.paused)
        complain(this.#world, 'I10', `${host.pod} has not answered a caller for ${String(answerLimitMs)} ms`);
    });
    return () => {
      answered = true;
    };
  }
}
