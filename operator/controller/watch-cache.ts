// One list and one watch of one kind in all namespaces, and what they delivered, grouped by cluster.
// After a break it goes on from the last resourceVersion; only when the API server has forgotten that does it list again.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { KubeObject } from '../core/observed.ts';
import type { KubeApi } from './kube-api.ts';
import { collectionPath, type ResourceKind } from './resource-kind.ts';

/** How long the API server may keep a watch open; it ends them itself after 30 to 60 minutes. */
const watchSeconds = 1_800;
/** Bookmarks come about once a minute: a longer silence is a dead connection. */
const silenceLimitMs = 150_000;
const firstBackoffMs = 500;
/** After so many breaks in a row the resourceVersion is not trusted any more: the API server may refuse it. */
const breaksBeforeList = 3;
const maxBackoffMs = 10_000;
const gone = 410;

export interface CacheOptions {
  readonly kind: ResourceKind;
  readonly labelSelector?: string;
  /** Under which cluster (`namespace/name`) an object is filed. */
  readonly group: (object: KubeObject) => string;
  /** `object` is null when it was deleted, `before` when it is new. Called in the order of changes; must not throw. */
  readonly onChange: (object: KubeObject | null, before: KubeObject | null, group: string) => void;
  /** After a break, before anything is delivered. */
  readonly onResumed?: () => void;
}

export class WatchCache {
  readonly kind: ResourceKind;
  readonly #api: Pick<KubeApi, 'send' | 'lines'>;
  readonly #options: CacheOptions;
  readonly #log: Logger;
  readonly #objects = new Map<string, KubeObject>();
  readonly #groups = new Map<string, Map<string, KubeObject>>();
  readonly #stopping = new AbortController();
  readonly #synced = Promise.withResolvers<undefined>();
  #resourceVersion = '';
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(api: Pick<KubeApi, 'send' | 'lines'>, options: CacheOptions, log: Logger) {
    this.#api = api;
    this.kind = options.kind;
    this.#options = options;
    this.#log = log.child({ watched: options.kind.kind });
  }

  /** Resolves when the first list has been delivered. */
  async start(): Promise<void> {
    this.#running = this.#run();
    await this.#synced.promise;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#synced.resolve(undefined);
    await this.#running;
  }

  of(group: string): KubeObject[] {
    return [...(this.#groups.get(group)?.values() ?? [])];
  }

  groups(): string[] {
    return [...this.#groups.keys()];
  }

  /** Takes the API server's answer to a write, ahead of the watch. Never adds: the object may have been deleted since. */
  refresh(object: KubeObject): void {
    if (this.#objects.has(keyOf(object))) this.#put(object);
  }

  #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        if (this.#resourceVersion === '') await this.#list();
        await this.#watch();
      } catch (error) {
        if (this.#isStopped()) return;
        if (!(error instanceof AppError)) throw error;
        this.#failures += 1;
        if (this.#failures % breaksBeforeList === 0) this.#resourceVersion = '';
        this.#log.warn({ err: error, failures: this.#failures }, 'watch interrupted');
      }
      const backoffMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(this.#failures, 10));
      await delay(backoffMs * (0.5 + Math.random() / 2), undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  async #list(): Promise<void> {
    const { labelSelector } = this.#options;
    const answer = await this.#api.send('GET', collectionPath(this.kind), labelSelector === undefined ? {} : { query: { labelSelector } });
    if (answer.kind === 'refused') throw new AppError('api_unavailable', `list of ${this.kind.plural}: ${answer.message}`);
    const list = answer.body as { metadata: { resourceVersion: string }; items: KubeObject[] };
    this.#resume();
    // Items of a list come without kind and apiVersion.
    const items = list.items.map((item) => ({ ...item, apiVersion: this.kind.apiVersion, kind: this.kind.kind }));
    const listed = new Set(items.map(keyOf));
    for (const object of this.#objects.values()) if (!listed.has(keyOf(object))) this.#remove(object);
    for (const item of items) this.#put(item);
    this.#resourceVersion = list.metadata.resourceVersion;
    this.#synced.resolve(undefined);
  }

  async #watch(): Promise<void> {
    const { labelSelector } = this.#options;
    const query = {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#resourceVersion,
      timeoutSeconds: String(Math.round(watchSeconds * (1 + Math.random()))),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    };
    const connection = new AbortController();
    const watchdog = setTimeout(() => {
      connection.abort();
    }, silenceLimitMs);
    const signal = AbortSignal.any([this.#stopping.signal, connection.signal]);
    try {
      for await (const line of this.#api.lines(collectionPath(this.kind), query, signal)) {
        watchdog.refresh();
        this.#take(line as { type: string; object: KubeObject & { code?: number; message?: string } });
      }
    } finally {
      clearTimeout(watchdog);
      connection.abort();
    }
  }

  #resume(): void {
    if (this.#failures > 0) this.#options.onResumed?.();
    this.#failures = 0;
  }

  /** Throws AppError api_unavailable when the API server says that the watch cannot go on. */
  #take({ type, object }: { type: string; object: KubeObject & { code?: number; message?: string } }): void {
    if (type === 'ERROR') {
      if (object.code === gone) this.#resourceVersion = '';
      throw new AppError('api_unavailable', `watch of ${this.kind.plural}: ${object.message ?? ''} (${String(object.code)})`);
    }
    this.#resume();
    if (type === 'DELETED') this.#remove(object);
    else if (type !== 'BOOKMARK') this.#put(object);
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
  }

  #put(object: KubeObject): void {
    const key = keyOf(object);
    const before = this.#objects.get(key) ?? null;
    if (before !== null && !isNewer(object, before)) return;
    // Nothing here reads it, and it is most of many an object.
    const { managedFields: _, ...metadata } = object.metadata as KubeObject['metadata'] & { managedFields?: unknown };
    const kept: KubeObject = { ...object, metadata };
    const group = this.#options.group(kept);
    if (before !== null) this.#forget(key, before);
    this.#objects.set(key, kept);
    const members = this.#groups.get(group) ?? new Map<string, KubeObject>();
    this.#groups.set(group, members.set(key, kept));
    this.#options.onChange(kept, before, group);
    if (before !== null && this.#options.group(before) !== group) this.#options.onChange(null, before, this.#options.group(before));
  }

  #remove(object: KubeObject): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#forget(key, before);
    this.#options.onChange(null, before, this.#options.group(before));
  }

  #forget(key: string, object: KubeObject): void {
    const group = this.#options.group(object);
    const members = this.#groups.get(group);
    members?.delete(key);
    if (members?.size === 0) this.#groups.delete(group);
    this.#objects.delete(key);
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** Resource versions of one kind are decimal numbers that grow. */
function isNewer(a: KubeObject, b: KubeObject): boolean {
  const [left, right] = [a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? ''];
  return left.length === right.length ? left > right : left.length > right.length;
}
