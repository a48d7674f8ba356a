// The Process API's view of a member: one write path for all interfaces (K2), reads with a named consistency (I9), forwarding to the leader.
import type { Logger } from 'pino';
import { AppError, isAppError } from '../common/errors.ts';
import type { MemberReport } from '../common/report.ts';
import type { Change } from './core/frame.ts';
import { locate } from './core/log.ts';
import { decodeReadAnswer, decodeRequest, decodeSubmitAnswer, encodeJson, packFrames, type PeerRequest } from './core/message.ts';
import type { SubmitResult } from './core/io.ts';
import { coreLimits } from './core/limits.ts';
import type { ChangeReceipt, Consistency, ControlProcess, LoggedChange, RoleView, StateEntry, StateRead } from './http/process.ts';
import { leaderOf, roleView } from './member-report.ts';
import { offerSnapshot, snapshotPart } from './snapshot-exchange.ts';
import type { Archive, Clock, Journal, Peers } from './ports.ts';
import { replayed } from './replay.ts';
import { tickMs, type Runtime } from './runtime.ts';

const readTimeoutMs = 5000;
/** Bytes of frames that one answer carries; the core's limit on one frame keeps it below the payload limit of NATS. */
const fetchBytes = 512 * 1024;
/** A forwarded call outlives the leader's own time-out, so that the leader's answer is the one that counts. */
const forwardTimeoutMs = coreLimits.submitTimeoutMs + 2000;

export interface ControlProcessOptions {
  readonly runtime: Runtime;
  readonly journal: Journal;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LocalProcess implements ControlProcess {
  readonly #options: ControlProcessOptions;

  constructor(options: ControlProcessOptions) {
    this.#options = options;
    options.peers.onRequest((payload) => this.#answerPeer(payload));
  }

  get #member() {
    return this.#options.runtime.member;
  }

  get uid(): number {
    return this.#member.store.uid;
  }

  async submit(change: Change): Promise<ChangeReceipt> {
    try {
      return await this.#submit(change);
    } catch (error) {
      // Nobody takes changes, and this is why: who is told that there is no leader looks elsewhere for the cause.
      if (this.#options.runtime.diskFull && isAppError(error) && error.code === 'no_leader')
        throw new AppError('disk_full', 'the journal of this member has no room, and no other member leads', error);
      throw error;
    }
  }

  async #submit(change: Change): Promise<ChangeReceipt> {
    if (this.#member.config.kind === 'dr') throw new AppError('always_follower', 'This pod is a disaster-recovery replica.');
    if (this.#member.role.kind === 'leader') return receiptOf(await this.#submitHere(change));
    const leader = leaderOf(this.#member);
    if (leader === null) throw new AppError('no_leader', 'No leader is known here.');
    const result = decodeSubmitAnswer(await this.#forward(leader, { kind: 'submit', change }));
    if (result === null) throw new AppError('outcome_unknown', `${leader} answered in a form that this version does not know.`);
    return receiptOf(result);
  }

  #submitHere(change: Change): Promise<SubmitResult> {
    return this.#options.runtime.submit(change, Buffer.byteLength(JSON.stringify(change)));
  }

  #forward(leader: string, request: PeerRequest | { readonly kind: 'submit'; readonly change: Change }): Promise<Uint8Array> {
    return this.#options.peers.request(leader, encodeJson(request), forwardTimeoutMs);
  }

  async waitFor(consistency: Consistency): Promise<StateRead> {
    if (consistency.kind === 'local') return { uid: this.uid };
    const uid = consistency.kind === 'minUid' ? consistency.uid : await this.#confirmedUid();
    await this.#until(() => this.uid >= uid);
    return { uid: this.uid };
  }

  async #confirmedUid(): Promise<number> {
    const leader = leaderOf(this.#member);
    if (leader === null) throw new AppError('no_leader', 'No leader is known here.');
    const result =
      this.#member.role.kind === 'leader'
        ? await this.#options.runtime.confirmRead()
        : decodeReadAnswer(await this.#forward(leader, { kind: 'readUid' }).catch(unanswered));
    if (result === null) throw new AppError('no_leader', `${leader} answered in a form that this version does not know.`);
    if (result.kind === 'refused') throw new AppError(result.code, result.detail);
    return result.uid;
  }

  #until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = this.onChange(() => {
        if (!condition()) return;
        finish();
        resolve();
      });
      const cancel = this.#options.clock.after(readTimeoutMs, () => {
        finish();
        reject(new AppError('not_in_sync', `This member is at UID ${String(this.uid)}.`));
      });
      const finish = (): void => {
        cancel();
        stop();
      };
    });
  }

  get(key: string): StateEntry | undefined {
    const entry = this.#member.store.get(key);
    return entry === undefined ? undefined : { key, ...entry };
  }

  list(prefix: string, limit: number, after: string): StateEntry[] {
    return this.#member.store.list(prefix, limit, after).map(({ key, entry }) => ({ key, ...entry }));
  }

  async changes(fromUid: number, limit: number): Promise<LoggedChange[]> {
    const found: LoggedChange[] = [];
    const { log, store } = this.#member;
    if (Math.max(fromUid, 1) <= log.baseUid)
      throw new AppError('compacted', `The log begins at UID ${String(log.baseUid + 1)}; what lies before it is in the state alone.`);
    const index = log.indexOfUid(Math.max(fromUid, 1));
    if (index === 0 || index > store.index) return found;
    const acknowledgedIndex = store.index;
    for (const frame of await this.#options.journal.read(index, fetchBytes)) {
      if (frame.index > acknowledgedIndex) break;
      for (const [at, change] of frame.changes.entries()) {
        const uid = frame.firstUid + at;
        if (uid >= fromUid && found.length < limit) found.push({ ...change, uid, epoch: frame.epoch.number, timeMs: frame.timeMs });
      }
    }
    return found;
  }

  role(): RoleView {
    return roleView(this.#member);
  }

  report(): MemberReport {
    return this.#options.runtime.report();
  }

  archives(): Promise<Archive[]> {
    return this.#options.journal.archives();
  }

  async *archivedChanges(id: string): AsyncGenerator<{ uid: number; change: Change }> {
    for await (const archived of this.#options.journal.archivedChanges(id)) yield { uid: archived.uid, change: replayed(archived) };
  }

  onChange(listener: () => void): () => void {
    return this.#options.runtime.onChange(listener);
  }

  started(): boolean {
    return this.#member.synced;
  }

  ready(): boolean {
    const { phase } = this.report();
    return phase === 'Leading' || phase === 'Following';
  }

  async handOver(): Promise<void> {
    const { runtime, clock } = this.#options;
    runtime.handOver();
    const deadlineMs = clock.nowMs() + coreLimits.handOverTimeoutMs + 500;
    while (this.#member.stopping?.released !== true && clock.nowMs() < deadlineMs)
      await new Promise<void>((resolve) => clock.after(tickMs, resolve));
  }

  async #answerPeer(payload: Uint8Array): Promise<Uint8Array> {
    const request = decodeRequest(payload);
    switch (request?.kind) {
      case 'submit':
        return encodeJson(await this.#submitHere(request.change));
      case 'readUid':
        return encodeJson(await this.#options.runtime.confirmRead());
      case 'locate':
        return encodeJson(locate(this.#member.log, request.index));
      case 'frames': {
        const frames = await this.#options.journal.read(request.fromIndex, fetchBytes).catch(unlessCompacted);
        return packFrames(frames.map(({ bytes }) => bytes));
      }
      case 'snapshot':
        return encodeJson(await offerSnapshot(this.#options.journal, this.#member));
      case 'snapshotPart':
        return snapshotPart(this.#options.journal, request.id, request.offset);
      case undefined:
        return encodeJson({ kind: 'refused', code: 'invalid_request', detail: 'The request is not of a known form.' });
    }
  }
}

/** Who asks for frames that are compacted is told that there are none: it takes a snapshot. */
function unlessCompacted(error: unknown): [] {
  if (isAppError(error) && error.code === 'compacted') return [];
  throw error;
}

/** A read that got no answer has no outcome to know of. */
function unanswered(error: unknown): never {
  throw isAppError(error) ? new AppError('no_leader', 'The leader did not answer.', error) : error;
}

function receiptOf(result: SubmitResult): ChangeReceipt {
  if (result.kind === 'refused') throw new AppError(result.code, result.detail);
  return { uid: result.uid, epoch: result.epoch, duplicate: result.duplicate };
}
