// How long ago each Lease was last renewed, by this process's monotonic clock and by nothing else: what was seen to change, when it was seen.
// A break of the watch ages no Lease: what was not seen then is no sign of death.
import { annotations } from '../../common/names.ts';
import type { KubeObject } from '../core/observed.ts';

export interface LeaseAge {
  readonly ageMs: number;
  /** A change was seen, so that somebody wrote it while this process watched. */
  readonly proven: boolean;
}

interface Sighting {
  readonly sign: string;
  seenMs: number;
  readonly proven: boolean;
  /** It was found expired since. */
  expired: boolean;
}

export interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly acquireTime?: string;
  readonly renewTime?: string;
}

export const leaseSpec = (lease: KubeObject): LeaseSpec => lease.spec ?? {};

export class LeaseClock {
  readonly #now: () => number;
  readonly #seen = new Map<string, Sighting>();

  /** `now` is monotonic, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** True when that it is renewed is news: it had expired, or was not seen to be renewed before. */
  observe(lease: KubeObject): boolean {
    const sign = signOfLife(lease);
    const before = this.#seen.get(keyOf(lease));
    if (before?.sign === sign) return false;
    this.#seen.set(keyOf(lease), { sign, seenMs: this.#now(), proven: before !== undefined, expired: false });
    return before !== undefined && (before.expired || !before.proven);
  }

  /** True once for each time that it was not renewed for so long. */
  hasExpired(lease: KubeObject, lifetimeMs: number): boolean {
    const sighting = this.#seen.get(keyOf(lease));
    if (sighting === undefined || sighting.expired || this.#now() - sighting.seenMs <= lifetimeMs) return false;
    sighting.expired = true;
    return true;
  }

  forget(lease: KubeObject): void {
    this.#seen.delete(keyOf(lease));
  }

  /** After a break of the watch: all ages begin anew, so that what does not renew expires anew. */
  resume(): void {
    for (const sighting of this.#seen.values()) {
      sighting.seenMs = this.#now();
      sighting.expired = false;
    }
  }

  age(lease: KubeObject): LeaseAge {
    const sighting = this.#seen.get(keyOf(lease));
    return sighting === undefined ? { ageMs: 0, proven: false } : { ageMs: this.#now() - sighting.seenMs, proven: sighting.proven };
  }
}

/** What the holder writes; our own writes do not change it. */
function signOfLife(lease: KubeObject): string {
  const { holderIdentity, renewTime } = leaseSpec(lease);
  return JSON.stringify([holderIdentity === '' ? undefined : holderIdentity, renewTime, lease.metadata.annotations?.[annotations.report]]);
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;
