// The Kubernetes API of a simulation: the leader Lease, member Leases with their reports, role labels, pods, and the status of the ControlCluster.
// Writes are conditional on versions as the real ones are. It may be away; a restored or confused one may grant the Lease twice.
import type { MemberReport, StartRound } from '../../common/report.ts';
import type { ControlClusterStatus } from '../../common/status.ts';
import type { ObservedPod, Termination } from '../../operator/core/observed.ts';
import type { LeaseRecord } from '../../sidecar/ports.ts';
import type { Host } from './host.ts';
import type { World } from './world.ts';

/** The clock of the hosts when a simulation begins. */
export const wallEpochMs = Date.UTC(2030, 0, 1);
const leaseDurationMs = 6000;

export interface MemberLease {
  readonly report: MemberReport;
  /** Grows with each write. */
  readonly renewal: number;
  /** Session that was told to discard. */
  readonly discard: string | null;
}

export class ApiServer {
  away = false;
  /** A write on an old version is taken all the same. */
  forgetful = false;
  lateMs = 0;
  lease: LeaseRecord = { holder: '', leaseDurationMs, version: '1', round: null };
  /** Grows with each write of the holder, renewals too. */
  renewal = 0;
  acquiredAtMs: number | null = null;
  readonly memberLeases = new Map<string, MemberLease>();
  readonly pods = new Map<string, ObservedPod>();
  status: ControlClusterStatus | undefined;
  statusVersion = 1;
  readonly #world: World;
  readonly #watchers = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Told of each change that is news to the operator and to the members. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  delayMs(): number {
    return this.#world.chance.between(1, 20) + (this.lateMs > 0 ? this.#world.chance.between(0, this.lateMs) : 0);
  }

  isReachableFrom(host: Host): boolean {
    return host.apiReachable && !this.away;
  }

  /** Of the holder. False when the version is not the present one. */
  writeHolder(holder: string, version: string, wallMs: number): boolean {
    if (version !== this.lease.version && !this.forgetful) return false;
    if (holder !== this.lease.holder) this.acquiredAtMs = wallMs;
    this.renewal += 1;
    this.#setLease({ holder });
    return true;
  }

  /** The operator opens a round and frees the Lease, or frees it only. */
  freeLease(version: string, round: StartRound | null): boolean {
    if (version !== this.lease.version) return false;
    this.#setLease({ holder: '', ...(round === null ? {} : { round }) });
    return true;
  }

  writeStatus(status: ControlClusterStatus, version: number): boolean {
    if (version !== this.statusVersion) return false;
    this.status = status;
    this.statusVersion += 1;
    this.#world.oracles.mark = status.highWaterMark ?? null;
    return true;
  }

  writeReport(report: MemberReport, isNews: boolean): void {
    const before = this.memberLeases.get(report.pod);
    this.memberLeases.set(report.pod, { report, renewal: (before?.renewal ?? 0) + 1, discard: before?.discard ?? null });
    if (isNews) this.#tell();
  }

  tellToDiscard(pod: string, session: string): void {
    const before = this.memberLeases.get(pod);
    if (before !== undefined) this.memberLeases.set(pod, { ...before, discard: session });
  }

  setPod(pod: string, change: Partial<ObservedPod>): void {
    const before = this.pods.get(pod) ?? newPod(pod);
    this.pods.set(pod, { ...before, ...change });
    this.#tell();
  }

  #setLease(change: Partial<LeaseRecord>): void {
    this.lease = { ...this.lease, ...change, version: String(Number(this.lease.version) + 1) };
    this.#tell();
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
  ready: true,
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
