// What one simulated process does at the API server: the ports LeaderLease and OwnPod, with the retries and pauses of sidecar/kube.
// Answers may be lost, so that a write may have happened that was said not to have.
import type { PodRole } from '../../common/names.ts';
import type { MemberReport, Switchover } from '../../common/report.ts';
import type { DiskRecord } from '../../sidecar/core/hard-state.ts';
import type { LeaderLease, LeaseRecord, OwnPod } from '../../sidecar/ports.ts';
import { request, type ApiHost, type ApiWorld } from './api-request.ts';
import type { Where } from './scheduler.ts';
import type { SimulatedHost } from './world.ts';

const pollMs = 2000;
const heartbeatMs = 2000;
const coalesceMs = 200;
const retryMs = 1000;

type LeaseHost = ApiHost & Pick<SimulatedHost, 'process' | 'wallMs'>;

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

  #request<Answer>(carryOut: () => Answer): Promise<Answer | null> {
    return request(this.#world, this.#host, this.#where, carryOut);
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

const gist = ({ phase, reason, leader, eligible, session, promise, incarnation, voter, configurations, discarded }: MemberReport): string =>
  JSON.stringify([phase, reason, leader, eligible, session, promise, incarnation, voter, configurations, discarded]);

type OwnPodHost = ApiHost & Pick<SimulatedHost, 'pod' | 'reported'>;

/** What a pod says of itself: news at once, the rest with the heartbeat, one write after the other, tried again while the API server is away. */
export class SimulatedOwnPod implements OwnPod {
  readonly #world: ApiWorld;
  readonly #host: OwnPodHost;
  readonly #where: Where;
  #report: MemberReport | null = null;
  #gist = '';
  #role: PodRole | null = null;
  #onReported: (session: string) => void = () => undefined;
  #onDiscard: (session: string) => void = () => undefined;
  #onSwitchover: (switchover: Switchover) => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor(world: ApiWorld, host: OwnPodHost, where: Where) {
    this.#world = world;
    this.#host = host;
    this.#where = where;
  }

  recorded(onRecord: (record: DiskRecord | null) => void): void {
    void this.#read().then(onRecord);
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
    const [isFirst, isNews] = [this.#report === null, gist(report) !== this.#gist];
    this.#report = report;
    this.#gist = gist(report);
    this.#host.reported(report);
    if (isFirst) void this.#keepWritten();
    else if (isNews) this.#wake();
  }

  labelRole(role: PodRole): void {
    this.#role = role;
  }

  async #read(): Promise<DiskRecord | null> {
    for (;;) {
      const answer = await this.#request(() => ({ report: this.#world.api.memberLeases.get(this.#host.pod)?.report }));
      if (answer === null) await this.#pause(retryMs);
      else if (answer.report === undefined) return null;
      else return { session: answer.report.session, promise: answer.report.promise, position: answer.report.position };
    }
  }

  async #keepWritten(): Promise<void> {
    for (let report = this.#report; report !== null; report = this.#report) {
      const said = this.#gist;
      const isWritten = await this.#write(report);
      await this.#pause(coalesceMs);
      if (this.#gist === said) await this.#untilNews(isWritten ? heartbeatMs - coalesceMs : retryMs);
    }
  }

  async #write(report: MemberReport): Promise<boolean> {
    const { api } = this.#world;
    const labelledLeader = this.#role === 'leader';
    const answer = await this.#request(() => {
      const before = api.memberLeases.get(report.pod);
      api.writeReport(report, before === undefined || gist(before.report) !== gist(report));
      if (api.pods.get(report.pod)?.labelledLeader !== labelledLeader) api.setPod(report.pod, { labelledLeader });
      return { discard: before?.discard ?? null, switchover: before?.switchover ?? null };
    });
    if (answer === null) return false;
    this.#onReported(report.session);
    if (answer.discard !== null) this.#onDiscard(answer.discard);
    if (answer.switchover !== null) this.#onSwitchover(answer.switchover);
    return true;
  }

  #request<Answer>(carryOut: () => Answer): Promise<Answer | null> {
    return request(this.#world, this.#host, this.#where, carryOut);
  }

  /** `ms` at most. */
  #untilNews(ms: number): Promise<void> {
    return Promise.race([this.#pause(ms), new Promise<void>((resolve) => (this.#wake = resolve))]);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.scheduler.after(ms * this.#host.rate, 'reportPause', this.#where, resolve);
    });
  }
}
