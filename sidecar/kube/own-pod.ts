// What this pod says of itself: its report on the member Lease, which is its heartbeat too, and the role label that the Service follows.
// Only the newest value counts; what could not be written is tried again until it was, or something newer replaced it. A report that differs
// only in how far the log has come waits for the next heartbeat, so that a busy cluster does not make a busy API server.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isAppError } from '../../common/errors.ts';
import { annotations, labels, memberLeaseName, type PodRole } from '../../common/names.ts';
import {
  diskRecordSchema,
  parseAnnotation,
  switchoverSchema,
  type MemberReport,
  type Switchover,
  type Waiting,
} from '../../common/report.ts';
import type { DiskRecord } from '../core/hard-state.ts';
import type { OwnPod } from '../ports.ts';
import type { Call, KubeApi } from './kube-api.ts';
import { leasePath, microTime } from './leader-lease.ts';

/** Heartbeat on the member Lease (K13). */
const heartbeatMs = 2000;
/** Reports that say something new are written at most this often. */
const coalesceMs = 200;
/** What the operator or somebody else may change is written again so often; what is so already costs the API server no write. */
const repeatMs = 10_000;
/** Wait after a failure; doubled for each in a row. */
const retryMinMs = 250;
const retryMaxMs = 4000;
const memberLeaseDurationSeconds = 10;
const mergePatch = 'application/merge-patch+json';

export interface OwnPodOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly log: Logger;
}

/** Of the adapter alone: what a process does before it has a runtime, and after. */
export interface OwnPodLifetime {
  /** Says why this process does not report yet, until its first report. The report of the process before it stands. */
  waits(why: Omit<Waiting, 'podUid'>): void;
  close(): void;
}

/** What the operator acts on at once. */
const gist = ({ phase, reason, leader, eligible, session, promise, incarnation, voter, configurations, discarded }: MemberReport): string =>
  JSON.stringify([phase, reason, leader, eligible, session, promise, incarnation, voter, configurations, discarded]);

/** A value that is kept written: at once when it is `set` to something new, and again every `repeatMs`. */
class Upkeep<T> {
  readonly #log: Logger;
  readonly #api: KubeApi;
  readonly #callFor: (value: T) => Call;
  readonly #repeatMs: number;
  readonly #closing: AbortSignal;
  /** Told of each value that was written, with the object as it is then. */
  onWritten: (value: T, answer: unknown) => void = () => undefined;
  #value: T | null = null;
  #gist = '';
  #changed = new AbortController();
  #failure = '';

  constructor(api: KubeApi, log: Logger, callFor: (value: T) => Call, repeatMs: number, closing: AbortSignal) {
    this.#api = api;
    this.#log = log;
    this.#callFor = callFor;
    this.#repeatMs = repeatMs;
    this.#closing = closing;
  }

  set(value: T, gist: string): void {
    const first = this.#value === null;
    this.#value = value;
    if (gist !== this.#gist) this.#changed.abort();
    this.#gist = gist;
    if (first) void this.#run();
  }

  async #run(): Promise<void> {
    let retryMs = retryMinMs;
    while (this.#value !== null && !this.#closing.aborted) {
      this.#changed = new AbortController();
      const written = await this.#write(this.#value);
      await pause(coalesceMs, this.#closing);
      await pause(written ? this.#repeatMs - coalesceMs : retryMs, AbortSignal.any([this.#changed.signal, this.#closing]));
      retryMs = written ? retryMinMs : Math.min(2 * retryMs, retryMaxMs);
    }
  }

  /** A refusal is tried again too: the operator may be about to make the object or grant the right. */
  async #write(value: T): Promise<boolean> {
    const call = this.#callFor(value);
    let failure = '';
    let written: unknown;
    try {
      const answer = await this.#api.send(call);
      if (answer.kind === 'refused') failure = `status ${String(answer.status)}`;
      else written = answer.body;
    } catch (error) {
      if (!isAppError(error)) throw error;
      failure = error.code;
    }
    if (failure !== this.#failure) {
      this.#failure = failure;
      if (failure === '') this.#log.info({ path: call.path }, 'Kubernetes takes it again');
      else this.#log.warn({ path: call.path, failure }, 'Kubernetes does not take what this pod says, trying again');
    }
    if (failure === '') this.onWritten(value, written);
    return failure === '';
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> => delay(ms, undefined, { signal }).catch(() => undefined);

const leaseSchema = z.looseObject({ metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).optional() }) });

/** Asks until the API server answers; `null` when `closing` came first. */
async function readRecord(api: KubeApi, path: string, closing: AbortSignal): Promise<{ readonly record: DiskRecord | null } | null> {
  for (let retryMs = retryMinMs; !closing.aborted; retryMs = Math.min(2 * retryMs, retryMaxMs)) {
    try {
      const answer = await api.send({ method: 'GET', path });
      const lease = answer.kind === 'ok' ? leaseSchema.safeParse(answer.body).data : undefined;
      if (lease !== undefined) return { record: parseAnnotation(diskRecordSchema, lease.metadata.annotations?.[annotations.report]) };
    } catch (error) {
      if (!isAppError(error)) throw error;
    }
    await pause(retryMs, closing);
  }
  return null;
}

export function createOwnPod({ api, namespace, pod, podUid, log }: OwnPodOptions): OwnPod & OwnPodLifetime {
  const closing = new AbortController();
  const patch = (path: string, body: unknown): Call => ({ method: 'PATCH', path, body, contentType: mergePatch });
  const report = new Upkeep<MemberReport>(
    api,
    log,
    (value) =>
      patch(leasePath(namespace, memberLeaseName(pod)), {
        metadata: { annotations: { [annotations.report]: JSON.stringify(value), [annotations.waiting]: null } },
        spec: { holderIdentity: pod, renewTime: microTime(), leaseDurationSeconds: memberLeaseDurationSeconds },
      }),
    heartbeatMs,
    closing.signal,
  );
  const reporting = new AbortController();
  const waiting = new Upkeep<Waiting>(
    api,
    log,
    (value) =>
      patch(leasePath(namespace, memberLeaseName(pod)), { metadata: { annotations: { [annotations.waiting]: JSON.stringify(value) } } }),
    repeatMs,
    AbortSignal.any([closing.signal, reporting.signal]),
  );
  let onReported: (session: string) => void = () => undefined;
  let onDiscard: (session: string) => void = () => undefined;
  let onSwitchover: (switchover: Switchover) => void = () => undefined;
  report.onWritten = ({ session }, lease) => {
    onReported(session);
    // The heartbeat's answer is the whole Lease: what the operator writes there is read without a watch.
    const notes = leaseSchema.safeParse(lease).data?.metadata.annotations;
    const discard = notes?.[annotations.discard];
    if (discard !== undefined) onDiscard(discard);
    const switchover = parseAnnotation(switchoverSchema, notes?.[annotations.switchover]);
    if (switchover !== null) onSwitchover(switchover);
  };
  const role = new Upkeep<PodRole>(
    api,
    log,
    (value) => patch(`/api/v1/namespaces/${namespace}/pods/${pod}`, { metadata: { labels: { [labels.role]: value } } }),
    repeatMs,
    closing.signal,
  );
  return {
    recorded(onRecord) {
      void readRecord(api, leasePath(namespace, memberLeaseName(pod)), closing.signal).then((answer) => {
        if (answer !== null) onRecord(answer.record);
      });
    },
    onReported: (handler) => (onReported = handler),
    onDiscard: (handler) => (onDiscard = handler),
    onSwitchover: (handler) => (onSwitchover = handler),
    waits(why) {
      waiting.set({ podUid, ...why }, JSON.stringify(why));
    },
    report(next) {
      reporting.abort();
      report.set(next, gist(next));
    },
    labelRole(next) {
      role.set(next, next);
    },
    close: () => closing.abort(),
  };
}
