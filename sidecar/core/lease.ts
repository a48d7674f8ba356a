// When a member may try for the leader Lease and when it must renew it. Follows client-go: only locally observed, monotonic time counts.
// The Lease says who should try to lead; it is never the fence: safety rests on the votes (I3).
import type { StartRound } from '../../common/report.ts';

export interface LeaseTimings {
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export interface LeaseRecord {
  readonly holder: string;
  readonly leaseDurationMs: number;
  readonly version: string;
  readonly round: StartRound | null;
}

/** An identity without its session: pod name and pod UID. */
const ownerOf = (identity: string): string => identity.slice(0, identity.lastIndexOf('_'));

/** What one member knows of the Lease. */
export class LeaseView {
  readonly #identity: string;
  readonly #timings: LeaseTimings;
  record: LeaseRecord | null = null;
  /** The API server answered last time. */
  reachable = false;
  #changedAtMs = 0;
  #freeSinceMs: number | null = null;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #confirmedAtMs = Number.NEGATIVE_INFINITY;
  writing = false;

  constructor(identity: string, timings: LeaseTimings) {
    this.#identity = identity;
    this.#timings = timings;
  }

  observe(record: LeaseRecord | null, nowMs: number): void {
    this.reachable = record !== null;
    if (record === null || record.version === this.record?.version) return;
    this.record = record;
    this.#changedAtMs = nowMs;
    if (record.holder !== '') this.#freeSinceMs = null;
  }

  written(result: 'written' | 'conflict' | 'unavailable'): void {
    this.writing = false;
    // The moment of asking counts: the API server may have written it at once, and answered late.
    if (result === 'written') this.#confirmedAtMs = this.#writtenAtMs;
  }

  get mine(): boolean {
    return this.record?.holder === this.#identity;
  }

  get heldByOther(): boolean {
    return this.record !== null && this.record.holder !== '' && !this.mine;
  }

  /** Held by an earlier process of this very pod, which ended before this one began: nobody will renew it. */
  get isAbandoned(): boolean {
    return this.heldByOther && ownerOf(this.record?.holder ?? '') === ownerOf(this.#identity);
  }

  /** Free, or not renewed for its duration as observed here. */
  isFree(nowMs: number): boolean {
    if (this.record === null) return false;
    return this.record.holder === '' || nowMs - this.#changedAtMs > Math.max(this.record.leaseDurationMs, this.#timings.leaseDurationMs);
  }

  /** How long it has been free, as observed here; 0 when it is not. */
  freeForMs(nowMs: number): number {
    if (!this.isFree(nowMs)) {
      this.#freeSinceMs = null;
      return 0;
    }
    this.#freeSinceMs ??= nowMs;
    return nowMs - this.#freeSinceMs;
  }

  /** The holder's last write was confirmed within the renew deadline. */
  isFresh(nowMs: number): boolean {
    return this.mine && nowMs - this.#confirmedAtMs < this.#timings.renewDeadlineMs;
  }

  /** The version on which to write now, or `null`: one write at a time, and renewals a retry period apart. */
  versionToWrite(nowMs: number, urgent: boolean): string | null {
    if (this.writing || this.record === null) return null;
    if (!urgent && nowMs - this.#writtenAtMs < this.#timings.retryPeriodMs) return null;
    this.writing = true;
    this.#writtenAtMs = nowMs;
    return this.record.version;
  }
}
