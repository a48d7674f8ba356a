// What the Process API serves: the port that http/ consumes and the runtime implements.
import type { MemberReport } from '../../common/report.ts';
import type { Archive, ArchivedChange } from '../ports.ts';
import type { Change, Json } from '../core/frame.ts';

export interface ChangeReceipt {
  readonly uid: number;
  readonly epoch: number;
  /** The idempotency key was known: this is the first submission's receipt. */
  readonly duplicate: boolean;
}

export interface StateEntry {
  readonly key: string;
  readonly value: Json;
  /** UID of the change that wrote it. */
  readonly uid: number;
}

export interface StateRead {
  /** Everything up to this UID is in the answer. */
  readonly uid: number;
}

export type Consistency =
  { readonly kind: 'local' } | { readonly kind: 'minUid'; readonly uid: number } | { readonly kind: 'linearizable' };

export interface LoggedChange extends Change {
  readonly uid: number;
  readonly epoch: number;
  readonly timeMs: number;
}

export type RoleName = 'leader' | 'follower' | 'dr' | 'none';
export interface RoleView {
  readonly role: RoleName;
  readonly phase: MemberReport['phase'];
  readonly epoch: number;
  readonly leader: string | null;
  readonly uid: number;
}

/** All methods reject with AppError; codes in `common/errors.ts`. */
export interface ControlProcess {
  /** Commits one change; a follower forwards it to the leader. Rejects: conflict, queue_full, no_leader, outcome_unknown, stopping, always_follower, disk_full, change_too_large. `uid` in conflict details names the failing precondition. */
  submit(change: Change): Promise<ChangeReceipt>;
  /** Resolves when the local state satisfies the consistency; rejects not_in_sync or no_leader after `readTimeoutMs`. */
  waitFor(consistency: Consistency): Promise<StateRead>;
  get(key: string): StateEntry | undefined;
  /** Keys with the prefix, in code-unit order, after `after`. */
  list(prefix: string, limit: number, after: string): StateEntry[];
  /** Acknowledged changes with `uid >= fromUid`, in order and without a gap, at most `limit` and fewer when they are large; empty only at the end of the log. Rejects compacted. */
  changes(fromUid: number, limit: number): Promise<LoggedChange[]>;
  /** UID of the last change that is applied here. */
  readonly uid: number;
  role(): RoleView;
  report(): MemberReport;
  archives(): Promise<Archive[]>;
  /** Of an archived tail, in order, each as it is to be submitted again, with an idempotency key. Rejects not_found, invalid_request when it is no tail, archive_corrupt, before the first. */
  archivedChanges(id: string): AsyncIterable<Pick<ArchivedChange, 'uid' | 'change'>>;
  /** Called after the applied UID or the role changed. Returns the unsubscribe function. */
  onChange(listener: () => void): () => void;
  /** The start gate (I7): true once this member led, or followed in sync, since this process started. */
  started(): boolean;
  /** Leads, or follows in sync, now. */
  ready(): boolean;
  /** `preStop`: no new writes, hand leadership over when leading. Resolves when done or after `handOverTimeoutMs`. */
  handOver(): Promise<void>;
}
