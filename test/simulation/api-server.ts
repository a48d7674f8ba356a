// The Kubernetes API of a simulation: the leader Lease, member Leases with their reports, role labels, pods, and the status of the ControlCluster.
// Writes are conditional on versions as the real ones are. It may be away; a restored or confused one may grant the Lease twice.
import type { HighWaterMark, MemberReport, StartRound, Switchover } from '../../common/report.ts';
import type { ControlClusterStatus } from '../../common/status.ts';
import type { ObservedPod, Termination } from '../../operator/core/observed.ts';
import type { LeaseRecord } from '../../sidecar/ports.ts';
import type { Chance } from './chance.ts';

/** The clock of the hosts when a simulation begins. */
export const wallEpochMs = Date.UTC(2030, 0, 1);

export interface MemberLease {
  readonly report: MemberReport;
  /** Grows with each write. */
  readonly renewal: number;
  /** Session that was told to discard. */
  readonly discard: string | null;
  /** What the leader was told. */
  readonly switchover: Switchover | null;
}

export class ApiServer {
  away = false;
  /** Several servers that do not agree: each member is shown its own Lease, and every write is taken. */
  #torn = false;
  lateMs = 0;
  lease: LeaseRecord;
  /** Grows with each write of the holder, renewals too. */
  renewal = 0;
  acquiredAtMs: number | null = null;
  readonly memberLeases = new Map<string, MemberLease>();
  readonly pods = new Map<string, ObservedPod>();
  status: ControlClusterStatus | undefined;
  switchoverTo: string | null = null;
  /** Of the ControlCluster: grows with each write of the status or the annotation. */
  statusVersion = 1;
  readonly #chance: Chance;
  readonly #onMark: (mark: HighWaterMark | null) => void;
  readonly #watchers = new Set<() => void>();
  readonly #renewalWatchers = new Set<(pod: string) => void>();
  readonly #leaseWatchers = new Set<() => void>();

  /** `onMark` hears of the high-water mark of each status that is written. */
  constructor(chance: Chance, leaseDurationMs: number, onMark: (mark: HighWaterMark | null) => void) {
    this.lease = { holder: '', leaseDurationMs, version: '1', round: null };
    this.#chance = chance;
    this.#onMark = onMark;
  }

  /** `onChange` is told of each change that is news to the operator: a renewal of a member Lease is none, and goes to `onRenewal`. */
  watch(onChange: () => void, onRenewal: (pod: string) => void): void {
    this.#watchers.add(onChange);
    this.#renewalWatchers.add(onRenewal);
  }

  /** Told of each write of the leader Lease. */
  watchLease(onChange: () => void): () => void {
    this.#leaseWatchers.add(onChange);
    return () => this.#leaseWatchers.delete(onChange);
  }

  delayMs(): number {
    return this.#chance.between(1, 20) + (this.lateMs > 0 ? this.#chance.between(0, this.lateMs) : 0);
  }

  isReachableFrom(host: { readonly apiReachable: boolean }): boolean {
    return host.apiReachable && !this.away;
  }

  tear(torn: boolean): void {
    this.#torn = torn;
    this.#setLease({});
  }

  leaseShownTo(identity: string): LeaseRecord {
    return this.#torn ? { ...this.lease, holder: identity } : this.lease;
  }

  /** Of the holder. False when the version is not the present one. */
  writeHolder(holder: string, version: string, wallMs: number): boolean {
    if (version !== this.lease.version && !this.#torn) return false;
    const moves = holder !== this.lease.holder;
    if (moves) this.acquiredAtMs = wallMs;
    this.renewal += 1;
    this.#setLease({ holder });
    if (moves) this.#tell();
    return true;
  }

  /** The operator opens a round and frees the Lease, or frees it only. */
  freeLease(version: string, round: StartRound | null): boolean {
    if (version !== this.lease.version) return false;
    this.#setLease({ holder: '', ...(round === null ? {} : { round }) });
    this.#tell();
    return true;
  }

  /** Somebody else wrote it, whatever its version was. */
  overwriteLease(change: Partial<Pick<LeaseRecord, 'holder' | 'round'>>): void {
    this.#setLease(change);
    this.#tell();
  }

  writeStatus(status: ControlClusterStatus, version: number): boolean {
    if (version !== this.statusVersion) return false;
    this.status = status;
    this.statusVersion += 1;
    this.#onMark(status.highWaterMark ?? null);
    this.#tell();
    return true;
  }

  writeReport(report: MemberReport, isNews: boolean): void {
    const before = this.memberLeases.get(report.pod);
    const { renewal = 0, discard = null, switchover = null } = before ?? {};
    this.memberLeases.set(report.pod, { report, renewal: renewal + 1, discard, switchover });
    if (isNews) this.#tell();
    else for (const watcher of this.#renewalWatchers) watcher(report.pod);
  }

  tellMember(pod: string, told: Partial<Pick<MemberLease, 'discard' | 'switchover'>>): void {
    const before = this.memberLeases.get(pod);
    if (before === undefined) return;
    this.memberLeases.set(pod, { ...before, ...told });
    this.#tell();
  }

  /** The annotation on the ControlCluster; `version` is that of the object which the writer saw, `null` when it saw none. */
  setSwitchoverTo(pod: string | null, version: number | null): boolean {
    if (version !== null && version !== this.statusVersion) return false;
    this.switchoverTo = pod;
    this.statusVersion += 1;
    this.#tell();
    return true;
  }

  /** A pod that is gone stays gone. */
  setPod(pod: string, change: Partial<ObservedPod>): void {
    const before = this.pods.get(pod);
    if (before === undefined) return;
    this.pods.set(pod, { ...before, ...change });
    this.#tell();
  }

  addPod(name: string, uid: string, revision: string): void {
    this.pods.set(name, { ...newPod(name), uid, revision });
    this.#tell();
  }

  /** The ControlCluster or a template is another; what it is now, the operator sees. */
  specChanged(): void {
    this.#tell();
  }

  deleteMemberLease(pod: string): void {
    this.memberLeases.delete(pod);
  }

  removePod(pod: string): void {
    this.pods.delete(pod);
    this.#tell();
  }

  #setLease(change: Partial<LeaseRecord>): void {
    this.lease = { ...this.lease, ...change, version: String(Number(this.lease.version) + 1) };
    for (const watcher of this.#leaseWatchers) watcher();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

const newPod = (name: string): ObservedPod => ({
  name,
  uid: '',
  revision: 'r1',
  deleting: false,
  labelledLeader: false,
  orders: { forceStart: false, discardLocal: false },
  ready: false,
  finished: null,
  unscheduled: null,
  sidecar: null,
  users: [],
});

export const sidecarState = (restarts: number, startedAtMs: number, ended: Termination | null): ObservedPod['sidecar'] => ({
  name: 'controlcluster',
  restarts,
  state: ended === null ? { kind: 'running', startedAtMs } : { kind: 'terminated', ...ended },
  last: null,
});
