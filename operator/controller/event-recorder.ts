// Writes Events (events.k8s.io/v1): what repeats within a while becomes a count on the Event that is there, and no cluster gets more than its share.
// An Event that cannot be written is logged and dropped: nothing depends on one.
import { createHash, randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import { apiVersion, kind } from '../../common/names.ts';
import type { EventRecord } from '../core/event-record.ts';
import { mergePatch, type KubeApi } from './kube-api.ts';
import { eventKind, namespacedPath } from './resource-kind.ts';

/** The same again within this time is counted, not written anew. */
const repeatWindowMs = 10 * 60_000;
const maxRemembered = 4_096;
/** Each cluster: this many at once, then one each `refillMs`. */
const burst = 25;
const refillMs = 10_000;
/** The API server takes no longer one. */
const maxNoteBytes = 1_024;
const controller = 'controlcluster.io/operator';

interface Repeated {
  readonly name: string;
  readonly atMs: number;
  readonly count: number;
}

type Regarded = Readonly<Record<'apiVersion' | 'kind' | 'name' | 'namespace' | 'uid', string>>;

export interface Subject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
}

export class EventRecorder {
  readonly #api: Pick<KubeApi, 'send'>;
  readonly #instance: string;
  readonly #log: Logger;
  readonly #recent = new Map<string, Repeated>();
  readonly #budgets = new Map<string, { left: number; atMs: number }>();

  constructor(api: Pick<KubeApi, 'send'>, instance: string, log: Logger) {
    this.#api = api;
    this.#instance = instance;
    this.#log = log;
  }

  async record(cluster: Subject, event: EventRecord): Promise<void> {
    const { name, namespace, uid } = cluster.metadata;
    const { reason, pod } = event;
    this.#log.info({ cluster: name, namespace, reason, note: event.message }, 'event');
    if (!this.#spend(uid)) return;
    await this.#write({ apiVersion, kind, name, namespace, uid }, event);
    if (pod !== undefined) await this.#write({ apiVersion: 'v1', kind: 'Pod', namespace, ...pod }, event);
  }

  #spend(uid: string): boolean {
    const nowMs = performance.now();
    const budget = this.#budgets.get(uid) ?? { left: burst, atMs: nowMs };
    const left = Math.min(burst, budget.left + (nowMs - budget.atMs) / refillMs);
    remember(this.#budgets, uid, { left: Math.max(0, left - 1), atMs: nowMs });
    return left >= 1;
  }

  async #write(regarding: Regarded, { type, reason, message }: EventRecord): Promise<void> {
    // Streaming leaves out a character of which only a part is there.
    const note = new TextDecoder().decode(Buffer.from(message).subarray(0, maxNoteBytes), { stream: true });
    const key = createHash('sha256')
      .update(JSON.stringify([regarding.uid, type, reason, note]))
      .digest('hex');
    const nowMs = performance.now();
    const before = this.#recent.get(key);
    const now = new Date().toISOString().replace('Z', '000Z');
    const repeated = before !== undefined && nowMs - before.atMs < repeatWindowMs;
    const name = repeated ? before.name : `${regarding.name}.${randomUUID().slice(0, 13)}`;
    const count = repeated ? before.count + 1 : 1;
    remember(this.#recent, key, { name, atMs: nowMs, count });
    try {
      const answer = repeated
        ? await this.#api.send('PATCH', namespacedPath(eventKind, regarding.namespace, name), {
            contentType: mergePatch,
            body: { series: { count, lastObservedTime: now } },
          })
        : await this.#api.send('POST', namespacedPath(eventKind, regarding.namespace), {
            body: {
              metadata: { name, namespace: regarding.namespace },
              eventTime: now,
              reportingController: controller,
              reportingInstance: this.#instance,
              action: 'Reconcile',
              regarding,
              ...{ type, reason, note },
            },
          });
      if (answer.kind === 'refused') this.#fail(key, answer.message);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#fail(key, error.detail);
    }
  }

  #fail(key: string, detail: string): void {
    this.#recent.delete(key);
    this.#log.warn({ detail }, 'event not written');
  }
}

/** Keeps the newest entries. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > maxRemembered && oldest !== undefined) map.delete(oldest);
}
