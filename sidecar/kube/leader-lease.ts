// The leader Lease: watched, polled as a fallback, written under its resourceVersion. It decides nothing: timing is the core's.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isAppError } from '../../common/errors.ts';
import { annotations } from '../../common/names.ts';
import { parseAnnotation, startRoundSchema } from '../../common/report.ts';
import type { LeaderLease, LeaseRecord } from '../ports.ts';
import type { KubeApi } from './kube-api.ts';

export const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string(), annotations: z.record(z.string(), z.string()).optional() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.int32().min(0).nullish(),
      acquireTime: z.string().nullish(),
      leaseTransitions: z.int().nullish(),
    })
    .optional(),
});
type Lease = z.infer<typeof leaseSchema>;
/** A Lease that was deleted is not told: the poll finds that it is gone. */
const watchEventSchema = z.object({ type: z.enum(['ADDED', 'MODIFIED']), object: z.unknown() });

const conflictStatus = 409;

/** Of one Lease, or of all in the namespace. */
export const leasePath = (namespace: string, name?: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases${name === undefined ? '' : `/${name}`}`;

const pause = (ms: number, signal: AbortSignal): Promise<void> => delay(ms, undefined, { signal }).catch(() => undefined);

/** Kubernetes wants microseconds. */
export const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

/** An end to each watch: a connection that broke without a word is not trusted for longer. */
const maxWatchMs = 300_000;

export interface LeaderLeaseOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  readonly leaseDurationMs: number;
  readonly retryPeriodMs: number;
  readonly log: Logger;
}

export function createLeaderLease(options: LeaderLeaseOptions): LeaderLease & { close: () => void } {
  return new WatchedLease(options);
}

class WatchedLease implements LeaderLease {
  readonly #options: LeaderLeaseOptions;
  readonly #path: string;
  readonly #closing = new AbortController();
  #watching = new AbortController();
  #listener: (record: LeaseRecord | null) => void = () => undefined;
  #current: Lease | null = null;
  /** When something was last heard of the Lease; the poll keeps quiet as long as the watch talks. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #refusedStatus = 0;

  constructor(options: LeaderLeaseOptions) {
    this.#options = options;
    this.#path = leasePath(options.namespace, options.name);
  }

  watch(onRecord: (record: LeaseRecord | null) => void): void {
    this.#listener = onRecord;
    void this.#poll();
    void this.#follow();
  }

  async write(holder: string, version: string): Promise<'written' | 'conflict' | 'unavailable'> {
    const { api, leaseDurationMs } = this.#options;
    const current = this.#current;
    if (current?.metadata.resourceVersion !== version) return 'conflict';
    try {
      const body = { ...current, spec: heldBy(current, holder, leaseDurationMs) };
      const answer = await api.send({ method: 'PUT', path: this.#path, body });
      if (answer.kind === 'refused') return this.#refused(answer.status) === conflictStatus ? 'conflict' : 'unavailable';
      this.#news(answer.body);
      return 'written';
    } catch (error) {
      if (!isAppError(error)) throw error;
      return 'unavailable';
    }
  }

  close(): void {
    this.#closing.abort();
    this.#watching.abort();
  }

  /** Asks when the watch was silent for two retry periods, and at once at the start. What it finds that the watch did not tell ends that watch. */
  async #poll(): Promise<void> {
    const { api, retryPeriodMs } = this.#options;
    while (!this.#closing.signal.aborted) {
      const heardAtMs = this.#heardAtMs;
      if (performance.now() - heardAtMs >= 2 * retryPeriodMs) {
        try {
          const answer = await api.send({ method: 'GET', path: this.#path });
          if (answer.kind === 'refused') {
            this.#refused(answer.status);
            this.#listener(null);
          } else if (this.#heardAtMs === heardAtMs) this.#polled(answer.body);
        } catch (error) {
          if (!isAppError(error)) throw error;
          this.#listener(null);
        }
      }
      await pause(retryPeriodMs, this.#closing.signal);
    }
  }

  /** Nothing was heard since it was asked: this is how the Lease is, even if its version were lower (a store that was restored). */
  #polled(value: unknown): void {
    const parsed = leaseSchema.safeParse(value);
    if (!parsed.success) return;
    const known = this.#current?.metadata.resourceVersion;
    if (known !== undefined && known !== parsed.data.metadata.resourceVersion) this.#watching.abort();
    this.#show(parsed.data);
  }

  async #follow(): Promise<void> {
    const { api, namespace, name, retryPeriodMs } = this.#options;
    const path = `${leasePath(namespace)}?watch=true&fieldSelector=metadata.name%3D${name}`;
    while (!this.#closing.signal.aborted) {
      this.#watching = new AbortController();
      try {
        for await (const event of api.watch(path, AbortSignal.any([this.#watching.signal, AbortSignal.timeout(maxWatchMs)]))) {
          const parsed = watchEventSchema.safeParse(event);
          if (parsed.success) this.#news(parsed.data.object);
        }
      } catch (error) {
        if (!isAppError(error)) throw error;
      }
      await pause(retryPeriodMs, this.#closing.signal);
    }
  }

  /** From the watch, or from a write: two ways, so that an older version may come after a newer one. */
  #news(value: unknown): void {
    const parsed = leaseSchema.safeParse(value);
    if (parsed.success && !isOlder(parsed.data, this.#current)) this.#show(parsed.data);
  }

  #show(lease: Lease): void {
    this.#heardAtMs = performance.now();
    this.#refusedStatus = 0;
    this.#current = lease;
    if (!this.#closing.signal.aborted) this.#listener(toRecord(lease, this.#options.leaseDurationMs));
  }

  /** Logs a refusal once; a conflict is part of the game. */
  #refused(status: number): number {
    if (status !== conflictStatus && status !== this.#refusedStatus) {
      this.#refusedStatus = status;
      this.#options.log.warn({ lease: this.#options.name, status }, 'Kubernetes refuses the leader Lease');
    }
    return status;
  }
}

/** Versions of one object are whole numbers that grow (Kubernetes 1.35, KEP-5504); what is none is not judged. */
function isOlder(lease: Lease, than: Lease | null): boolean {
  const [version, known] = [lease.metadata.resourceVersion, than?.metadata.resourceVersion];
  if (known === undefined || !/^\d+$/.test(version) || !/^\d+$/.test(known)) return false;
  return BigInt(version) < BigInt(known);
}

/** What the core is told of a Lease. */
export function toRecord({ metadata, spec }: Lease, leaseDurationMs: number): LeaseRecord {
  return {
    holder: spec?.holderIdentity ?? '',
    leaseDurationMs: spec?.leaseDurationSeconds ? spec.leaseDurationSeconds * 1000 : leaseDurationMs,
    version: metadata.resourceVersion,
    round: parseAnnotation(startRoundSchema, metadata.annotations?.[annotations.round]),
  };
}

/** As client-go writes it, for people who read the Lease. */
function heldBy({ spec = {} }: Lease, holder: string, leaseDurationMs: number): Lease['spec'] {
  const moves = (spec.holderIdentity ?? '') !== holder;
  return {
    ...spec,
    holderIdentity: holder,
    leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
    renewTime: microTime(),
    ...(moves ? { acquireTime: microTime(), leaseTransitions: (spec.leaseTransitions ?? 0) + 1 } : {}),
  };
}
