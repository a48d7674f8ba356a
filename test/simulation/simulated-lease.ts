// What one simulated process does at the API server: the ports LeaderLease and OwnPod, with the retries and pauses of sidecar/kube.
// Answers may be lost, so that a write may have happened that was said not to have.
import type { PodRole } from '../../common/names.ts';
import type { MemberReport, Switchover } from '../../common/report.ts';
import type { DiskRecord } from '../../sidecar/core/hard-state.ts';
import type { LeaderLease, LeaseRecord, OwnPod } from '../../sidecar/ports.ts';
import type { Where } from './scheduler.ts';
import type { SimulatedHost, World } from './world.ts';

const pollMs = 2000;
const heartbeatMs = 2000;
const coalesceMs = 200;
const retryMs = 1000;
const requestTimeoutMs = 4000;

type ApiWorld = Pick<World, 'scheduler' | 'api' | 'chance'>;
type OwnPodHost = Pick<SimulatedHost, 'pod' | 'apiReachable' | 'rate' | 'reported'>;
type LeaseHost = Pick<SimulatedHost, 'apiReachable' | 'rate' | 'process' | 'wallMs'>;

/** The leader Lease as one process sees it: watched, polled as a fallback, never older than what it saw before. */
export class SimulatedLease implements LeaderLease {
  readonly #world: ApiWorld;
  readonly #host: LeaseHost;
  readonly #where: Where;
  #onRecord: (record: LeaseRecord | null) => void = () => undefined;
  #shownVersion = 0;
  /** How often something was heard. */
  #heard = 0;
  close: () => void = () => undefined;

  constructor(world: ApiWorld, host: LeaseHost, where: Where) {
    this.#world = world;
    this.#host = host;
    this.#where = where;
  }

  watch(onRecord: (record: LeaseRecord | null) => void): void {
    const { scheduler, api } = this.#world;
    this.#onRecord = onRecord;
    this.close = api.watchLease(() => {
      const lease = this.#look();
      scheduler.after(api.delayMs(), 'leaseWatch', this.#where, () => {
        if (api.isReachableFrom(this.#host)) this.#news(lease);
      });
    });
    void this.#poll();
  }

  async write(holder: string, version: string): Promise<'written' | 'conflict' | 'unavailable'> {
    const { api } = this.#world;
    const answer = await this.#request(() => (api.writeHolder(holder, version, this.#host.wallMs()) ? this.#look() : 'conflict'));
    if (answer === null) return 'unavailable';
    if (answer === 'conflict') return 'conflict';
    this.#news(answer);
    return 'written';
  }

  /** What was heard since it was asked may be newer than the answer. */
  async #poll(): Promise<void> {
    const heard = this.#heard;
    const lease = await this.#request(() => this.#look());
    if (lease === null) this.#onRecord(null);
    else if (this.#heard === heard) this.#show(lease);
    this.#world.scheduler.after(pollMs * this.#host.rate, 'leasePoll', this.#where, () => void this.#poll());
  }

  /** `null` when no answer came in time: it may have been carried out, or may be later. */
  #request<Answer>(carryOut: () => Answer): Promise<Answer | null> {
    const { scheduler, api, chance } = this.#world;
    return new Promise((resolve) => {
      const giveUp = scheduler.after(requestTimeoutMs * this.#host.rate, 'leaseTimeout', this.#where, () => {
        resolve(null);
      });
      if (!api.isReachableFrom(this.#host)) return;
      scheduler.later(api.delayMs(), 'leaseRequest', () => {
        if (!api.isReachableFrom(this.#host)) return;
        const answer = carryOut();
        if (chance.happens(0.01)) return;
        scheduler.after(api.delayMs(), 'leaseAnswer', this.#where, () => {
          giveUp();
          resolve(answer);
        });
      });
    });
  }

  /** As the server shows it at this moment. */
  #look(): LeaseRecord {
    return this.#world.api.leaseShownTo(this.#host.process?.identity ?? '');
  }

  #news(lease: LeaseRecord): void {
    if (Number(lease.version) > this.#shownVersion) this.#show(lease);
  }

  #show(lease: LeaseRecord): void {
    this.#heard += 1;
    this.#shownVersion = Number(lease.version);
    this.#onRecord(lease);
  }
}

const gist = ({ phase, reason, leader, eligible, session, promise, incarnation, voter, configurations }: MemberReport): string =>
  JSON.stringify([phase, reason, leader, eligible, session, promise, incarnation, voter, configurations]);

/** What a pod says of itself: news at once, the rest with the heartbeat, tried again while the API server is away. */
export class SimulatedOwnPod implements OwnPod {
  readonly #world: ApiWorld;
  readonly #host: OwnPodHost;
  readonly #where: Where;
  #report: MemberReport | null = null;
  #role: PodRole | null = null;
  #written = '';
  #onReported: (session: string) => void = () => undefined;
  #onDiscard: (session: string) => void = () => undefined;
  #onSwitchover: (switchover: Switchover) => void = () => undefined;
  #isDue = false;

  constructor(world: ApiWorld, host: OwnPodHost, where: Where) {
    this.#world = world;
    this.#host = host;
    this.#where = where;
  }

  recorded(onRecord: (record: DiskRecord | null) => void): void {
    const { api, scheduler } = this.#world;
    scheduler.after(api.delayMs(), 'recorded', this.#where, () => {
      if (!api.isReachableFrom(this.#host)) {
        scheduler.after(retryMs, 'recorded', this.#where, () => this.recorded(onRecord));
        return;
      }
      const report = api.memberLeases.get(this.#host.pod)?.report;
      onRecord(report === undefined ? null : { session: report.session, promise: report.promise, position: report.position });
    });
  }

  onReported(handler: (session: string) => void): void {
    this.#onReported = handler;
  }

  onDiscard(handler: (session: string) => void): void {
    this.#onDiscard = handler;
  }

  onSwitchover(handler: (switchover: Switchover) => void): void {
    this.#onSwitchover = handler;
  }

  report(report: MemberReport): void {
    if (this.#where.life?.dead === true) return;
    const first = this.#report === null;
    this.#report = report;
    this.#host.reported(report);
    if (first) this.#beat();
    else if (gist(report) !== this.#written) this.#writeAfter(this.#world.chance.between(1, coalesceMs));
  }

  labelRole(role: PodRole): void {
    this.#role = role;
  }

  #beat(): void {
    this.#write();
    this.#world.scheduler.after(heartbeatMs * this.#host.rate, 'heartbeat', this.#where, () => {
      this.#beat();
    });
  }

  #writeAfter(delayMs: number): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#world.scheduler.after(delayMs, 'report', this.#where, () => {
      this.#isDue = false;
      this.#write();
    });
  }

  #write(): void {
    const { api } = this.#world;
    const report = this.#report;
    if (report === null) return;
    if (!api.isReachableFrom(this.#host)) return this.#writeAfter(retryMs);
    const said = gist(report);
    api.writeReport(report, said !== this.#written);
    this.#written = said;
    // The answer may be lost: the next heartbeat brings another.
    if (!this.#world.chance.happens(0.02))
      this.#world.scheduler.after(api.delayMs(), 'reported', this.#where, () => {
        this.#onReported(report.session);
        const { discard = null, switchover = null } = api.memberLeases.get(report.pod) ?? {};
        if (discard !== null) this.#onDiscard(discard);
        if (switchover !== null) this.#onSwitchover(switchover);
      });
    const labelledLeader = this.#role === 'leader';
    if (api.pods.get(report.pod)?.labelledLeader !== labelledLeader) api.setPod(report.pod, { labelledLeader });
  }
}
