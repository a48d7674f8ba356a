// The leader Lease: watched, polled as a fallback, written under its resourceVersion. It decides nothing: timing is the core's.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { isAppError } from '../../common/errors.ts';
import { annotations } from '../../common/names.ts';
import { parseAnnotation, startRoundSchema } from '../../common/report.ts';
import type { LeaderLease, LeaseRecord } from '../ports.ts';
import type { KubeApi } from './kube-api.ts';

const leaseSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string(), annotations: z.record(z.string(), z.string()).optional() }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      acquireTime: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .optional(),
});
type Lease = z.infer<typeof leaseSchema>;
const watchEventSchema = z.object({ type: z.string(), object: z.unknown() });

export const leasePath = (namespace: string, name: string): string => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;

/** Kubernetes wants microseconds. */
export const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

export interface LeaderLeaseOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  readonly leaseDurationMs: number;
  readonly retryPeriodMs: number;
}

export function createLeaderLease({
  api,
  namespace,
  name,
  leaseDurationMs,
  retryPeriodMs,
}: LeaderLeaseOptions): LeaderLease & { close: () => void } {
  const closing = new AbortController();
  const path = leasePath(namespace, name);
  let current: Lease | null = null;
  let listener: (record: LeaseRecord | null) => void = () => undefined;

  const show = (value: unknown): void => {
    const parsed = leaseSchema.safeParse(value);
    if (!parsed.success) return;
    current = parsed.data;
    listener(toRecord(parsed.data, leaseDurationMs));
  };

  const poll = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        const answer = await api.send({ method: 'GET', path });
        if (answer.kind === 'ok') show(answer.body);
        else listener(null);
      } catch (error) {
        if (!isAppError(error)) throw error;
        listener(null);
      }
      await delay(retryPeriodMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };

  const follow = async (): Promise<void> => {
    const watchPath = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases?watch=true&fieldSelector=metadata.name%3D${name}`;
    while (!closing.signal.aborted) {
      try {
        for await (const event of api.watch(watchPath, closing.signal)) {
          const parsed = watchEventSchema.safeParse(event);
          if (parsed.success && parsed.data.type !== 'ERROR' && parsed.data.type !== 'DELETED') show(parsed.data.object);
        }
      } catch (error) {
        if (!isAppError(error)) throw error;
      }
      await delay(retryPeriodMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };

  return {
    watch(onRecord) {
      listener = onRecord;
      void poll();
      void follow();
    },
    async write(holder, version) {
      if (current?.metadata.resourceVersion !== version) return 'conflict';
      try {
        const answer = await api.send({ method: 'PUT', path, body: { ...current, spec: heldBy(current, holder, leaseDurationMs) } });
        if (answer.kind === 'refused') return 'conflict';
        show(answer.body);
        return 'written';
      } catch (error) {
        if (!isAppError(error)) throw error;
        return 'unavailable';
      }
    },
    close: () => closing.abort(),
  };
}

function toRecord({ metadata, spec }: Lease, leaseDurationMs: number): LeaseRecord {
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
