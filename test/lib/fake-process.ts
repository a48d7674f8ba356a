// A ControlProcess in memory: one log, one state, no cluster. It keeps what the port promises about order, preconditions, idempotency and
// reads, and lets a test hold submissions back, fail the next call, compact the log and change the role.
import { isDeepStrictEqual } from 'node:util';
import type { MemberReport } from '../../common/report.ts';
import { emptyPosition, noEpoch } from '../../common/position.ts';
import { AppError } from '../../common/errors.ts';
import type { Change, Precondition } from '../../sidecar/core/frame.ts';
import type { Archive, ArchivedChange } from '../../sidecar/ports.ts';
import type {
  ChangeReceipt,
  Consistency,
  ControlProcess,
  LoggedChange,
  RoleView,
  StateEntry,
  StateRead,
} from '../../sidecar/http/process.ts';

export class FakeProcess implements ControlProcess {
  readonly submitted: Change[] = [];
  readonly reads: Consistency[] = [];
  readonly archived: Archive[] = [];
  readonly archivedTails = new Map<string, Iterable<Pick<ArchivedChange, 'uid' | 'change'>>>();
  isReady = true;
  isStarted = true;
  handOvers = 0;
  /** The next submission or read rejects with it. */
  failure: Error | null = null;
  /** Changes below this UID are gone. */
  firstUid = 1;
  roleNow: Omit<RoleView, 'uid'> = { role: 'leader', phase: 'Leading', epoch: 3, leader: 'trading-0' };
  reason: { reason: string; message: string } | null = null;

  #log: LoggedChange[] = [];
  readonly #state = new Map<string, StateEntry>();
  readonly #receipts = new Map<string, ChangeReceipt>();
  readonly #listeners = new Set<() => void>();
  #held: (() => void)[] | null = null;

  get uid(): number {
    return this.#log.at(-1)?.uid ?? 0;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  get heldCount(): number {
    return this.#held?.length ?? 0;
  }

  /** Submissions wait until `release`, in order. */
  hold(): void {
    this.#held = [];
  }

  release(count = Infinity): void {
    const freed = this.#held?.splice(0, count) ?? [];
    if (count === Infinity) this.#held = null;
    for (const go of freed) go();
  }

  setRole(role: Partial<Omit<RoleView, 'uid'>>): void {
    this.roleNow = { ...this.roleNow, ...role };
    this.#notify();
  }

  /** As after a forced start: the log ends at `uid`. */
  rewind(uid: number): void {
    this.#log = this.#log.filter((change) => change.uid <= uid);
    this.#notify();
  }

  async submit(change: Change): Promise<ChangeReceipt> {
    this.submitted.push(change);
    this.#fail();
    const held = this.#held;
    if (held !== null) await new Promise<void>((resolve) => held.push(resolve));
    const known = change.idempotencyKey === undefined ? undefined : this.#receipts.get(change.idempotencyKey);
    if (known !== undefined) return { ...known, duplicate: true };
    for (const precondition of change.preconditions ?? [])
      if (!this.#holds(precondition)) throw new AppError('conflict', `The precondition on ${precondition.key} does not hold.`);
    return this.#apply(change);
  }

  async waitFor(consistency: Consistency): Promise<StateRead> {
    this.reads.push(consistency);
    this.#fail();
    if (consistency.kind === 'minUid' && consistency.uid > this.uid)
      throw new AppError('not_in_sync', `This member has UID ${String(this.uid)}.`);
    return { uid: this.uid };
  }

  get(key: string): StateEntry | undefined {
    return this.#state.get(key);
  }

  list(prefix: string, limit: number, after: string): StateEntry[] {
    const entries = [...this.#state.values()].filter(({ key }) => key.startsWith(prefix) && key > after);
    return entries.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit);
  }

  async changes(fromUid: number, limit: number): Promise<LoggedChange[]> {
    if (fromUid < this.firstUid) throw new AppError('compacted', `The log begins at UID ${String(this.firstUid)}.`);
    return this.#log.slice(fromUid - 1, fromUid - 1 + limit);
  }

  role(): RoleView {
    return { ...this.roleNow, uid: this.uid };
  }

  report(): MemberReport {
    return {
      version: 1,
      pod: 'trading-0',
      podUid: 'pod-uid',
      session: 'session',
      role: 'member',
      incarnation: 'disk',
      voter: true,
      configurations: [[{ pod: 'trading-0', incarnation: 'disk' }]],
      phase: this.roleNow.phase,
      ...this.reason,
      clusterId: 'cluster',
      promise: noEpoch,
      position: { ...emptyPosition, uid: this.uid },
      acknowledged: null,
      eligible: true,
      leader: this.roleNow.leader,
      lag: 0,
      address: 'trading-0.trading-members.default.svc:5000',
      sidecarVersion: '0.1.0',
    };
  }

  async archives(): Promise<Archive[]> {
    return this.archived;
  }

  async *archivedChanges(id: string): AsyncGenerator<Pick<ArchivedChange, 'uid' | 'change'>> {
    const changes = this.archivedTails.get(id);
    if (changes === undefined) throw new AppError('not_found', `There is no archive ${id}.`);
    yield* changes;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  started(): boolean {
    return this.isStarted;
  }

  ready(): boolean {
    return this.isReady;
  }

  async handOver(): Promise<void> {
    this.handOvers += 1;
  }

  #fail(): void {
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
  }

  #holds({ key, exists, uid, value }: Precondition): boolean {
    const entry = this.#state.get(key);
    if (exists !== undefined && exists !== (entry !== undefined)) return false;
    if (uid !== undefined && uid !== (entry?.uid ?? 0)) return false;
    return value === undefined || isDeepStrictEqual(entry?.value, value);
  }

  #apply(change: Change): ChangeReceipt {
    const { epoch } = this.roleNow;
    const uid = this.uid + 1;
    this.#log.push({ ...change, uid, epoch, timeMs: 1_700_000_000_000 + uid });
    for (const operation of change.operations) {
      if ('put' in operation) this.#state.set(operation.put.key, { ...operation.put, uid });
      else if ('delete' in operation) this.#state.delete(operation.delete.key);
    }
    const receipt = { uid, epoch, duplicate: false };
    if (change.idempotencyKey !== undefined) this.#receipts.set(change.idempotencyKey, receipt);
    this.#notify();
    return receipt;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
