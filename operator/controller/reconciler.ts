// watch → queue → observe → plan → apply, for all clusters.
// A renewal of a Lease alone asks for no work; the first one that is seen does, and a Lease that is no longer renewed. What only moves positions is looked at a little later.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { parseDurationMs } from '../../common/duration.ts';
import { isAppError } from '../../common/errors.ts';
import { annotations, labels } from '../../common/names.ts';
import { memberReportSchema, parseAnnotation } from '../../common/report.ts';
import { controlClusterSchema, type ControlCluster } from '../../common/schema.ts';
import { reportLifetimeMs, type KubeObject } from '../core/observed.ts';
import { plan } from '../core/plan.ts';
import type { Capabilities } from '../resources/desired.ts';
import type { SidecarSettings } from '../resources/sidecar-container.ts';
import { readCapabilities } from './capabilities.ts';
import { EventRecorder } from './event-recorder.ts';
import { execute, type Context } from './executors.ts';
import type { KubeApi } from './kube-api.ts';
import { LeaseClock, leaseSpec } from './lease-clock.ts';
import type { Metrics } from './metrics.ts';
import { newMemory, observe, type ClusterMemory } from './observe.ts';
import { clusterKind, leaseKind, ownedKinds, podGroupKind, podKind, podMonitorKind, type ResourceKind } from './resource-kind.ts';
import { reportUnreadable } from './unreadable.ts';
import { WatchCache } from './watch-cache.ts';
import { WorkQueue } from './work-queue.ts';

/** Changes that come together are looked at together. */
const coalesceMs = 20;
/** A report in which only positions moved. */
const positionDelayMs = 1_000;
const leaseSweepMs = 500;
const capabilityRefreshMs = 5 * 60_000;
/** Until they are known for the first time. */
const capabilityRetryMs = 1_000;

export interface ReconcilerOptions {
  readonly api: Pick<KubeApi, 'send' | 'lines'>;
  readonly settings: SidecarSettings;
  /** Name of this replica, in Events. */
  readonly instance: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly capabilityRefreshMs?: number;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #events: EventRecorder;
  readonly #clusters: WatchCache;
  readonly #pods: WatchCache;
  readonly #owned = new Map<string, WatchCache>();
  readonly #clock = new LeaseClock(() => performance.now());
  readonly #queue: WorkQueue;
  readonly #memories = new Map<string, ClusterMemory>();
  readonly #stopping = new AbortController();
  #sweep: NodeJS.Timeout | undefined;
  #capabilities: Capabilities = { podGroups: false, podMonitors: false };
  #refreshing: Promise<void> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { api, log, instance } = options;
    this.#events = new EventRecorder(api, instance, log);
    const wake = (_object: KubeObject | null, _before: KubeObject | null, group: string): void => {
      this.#queue.add(group, coalesceMs);
    };
    this.#clusters = new WatchCache(api, { kind: clusterKind, group: ownKey, onChange: wake }, log);
    this.#pods = new WatchCache(api, { kind: podKind, labelSelector: labels.cluster, group: labelKey, onChange: wake }, log);
    for (const kind of ownedKinds) this.#watchOwned(kind);
    this.#queue = new WorkQueue(
      (key) => this.#reconcile(key),
      (key, error, retryInMs) => {
        log.warn({ err: error, cluster: key, retryInMs }, 'reconcile failed');
      },
    );
  }

  /** Resolves when everything was listed once; work begins then. */
  async start(): Promise<void> {
    const caches = this.#caches();
    const known = Promise.withResolvers<undefined>();
    this.#refreshing = this.#followCapabilities(() => {
      known.resolve(undefined);
    });
    await Promise.race([known.promise, this.#refreshing]);
    await Promise.all(caches.map((cache) => cache.start()));
    if (this.#isStopped()) return;
    this.#sweep = setInterval(() => {
      this.#sweepLeases();
    }, leaseSweepMs);
    this.#queue.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#sweep);
    // The caches first: whoever waits for one to be filled goes on then.
    await Promise.all(this.#caches().map((cache) => cache.stop()));
    await this.#refreshing;
    await this.#queue.stop();
  }

  #caches(): WatchCache[] {
    return [this.#clusters, this.#pods, ...this.#owned.values()];
  }

  #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #watchOwned(kind: ResourceKind): WatchCache {
    const { api, log } = this.#options;
    const isLease = kind === leaseKind;
    const cache = new WatchCache(
      api,
      {
        kind,
        labelSelector: labels.cluster,
        group: labelKey,
        onChange: (object, before, group) => {
          if (isLease) this.#leaseChanged(object, before, group);
          else this.#queue.add(group, coalesceMs);
        },
        onResumed: () => {
          if (isLease) this.#clock.resume();
        },
      },
      log,
    );
    this.#owned.set(kind.kind, cache);
    return cache;
  }

  #leaseChanged(object: KubeObject | null, before: KubeObject | null, group: string): void {
    if (object === null) {
      if (before !== null) this.#clock.forget(before);
      this.#queue.add(group, coalesceMs);
      return;
    }
    const isNews = this.#clock.observe(object);
    if (before === null || isNews || leaseOutline(object) !== leaseOutline(before)) this.#queue.add(group, coalesceMs);
    else if (reportText(object) !== reportText(before)) {
      const moved = reportOutline(object) === reportOutline(before);
      this.#queue.add(group, moved ? positionDelayMs : coalesceMs);
    }
  }

  /** Finds the Leases that have run out since the last time. */
  #sweepLeases(): void {
    const leases = this.#owned.get(leaseKind.kind);
    for (const group of leases?.groups() ?? []) {
      const cluster = this.#cluster(group);
      const leaderMs = cluster === null ? reportLifetimeMs : parseDurationMs(cluster.spec.election.leaseDuration);
      for (const lease of leases?.of(group) ?? []) {
        const lifetimeMs = lease.metadata.annotations?.[annotations.report] === undefined ? leaderMs : reportLifetimeMs;
        if (this.#clock.hasExpired(lease, lifetimeMs)) this.#queue.add(group);
      }
    }
  }

  /** `null` when it does not exist or cannot be read. */
  #cluster(key: string): ControlCluster | null {
    const [object] = this.#clusters.of(key);
    return object === undefined ? null : (controlClusterSchema.safeParse(object).data ?? null);
  }

  async #reconcile(key: string): Promise<void> {
    const startedMs = performance.now();
    const [object] = this.#clusters.of(key);
    if (object === undefined) {
      this.#memories.delete(key);
      return;
    }
    const parsed = controlClusterSchema.safeParse(object);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const message = `This version of the operator cannot read ${issue?.path.join('.') ?? 'it'}: ${issue?.message ?? ''}. Apply the CRD that belongs to it.`;
      await reportUnreadable(object, message, this.#options.api, this.#events);
      return;
    }
    try {
      await this.#apply(key, parsed.data);
      this.#options.metrics.observeReconcile('done', performance.now() - startedMs);
    } catch (error) {
      this.#options.metrics.observeReconcile('failed', performance.now() - startedMs);
      throw error;
    }
  }

  async #apply(key: string, cluster: ControlCluster): Promise<void> {
    const { api, settings, metrics } = this.#options;
    const memory = this.#memories.get(key) ?? newMemory();
    this.#memories.set(key, memory);
    const observed = observe({
      cluster,
      objects: [...this.#owned.values()].flatMap((cache) => cache.of(key)),
      pods: this.#pods.of(key),
      memory,
      capabilities: this.#capabilities,
      settings,
      leaseAge: (lease) => this.#clock.age(lease),
    });
    const refresh = (object: KubeObject): void => {
      (object.kind === clusterKind.kind ? this.#clusters : this.#owned.get(object.kind))?.refresh(object);
    };
    const context: Context = { api, events: this.#events, cluster, memory, refresh };
    for (const action of plan(observed)) {
      const outcome = await execute(action, context);
      if (outcome.kind === 'stale') {
        this.#queue.add(key, outcome.afterMs);
        return;
      }
      if (outcome.kind === 'again') this.#queue.add(key, outcome.afterMs);
      if (action.kind !== 'planAgain') metrics.countAction(action.kind);
    }
  }

  /** Until it is stopped. A discovery that fails leaves what is known as it is; before anything is known it is tried again soon. */
  async #followCapabilities(onKnown: () => void): Promise<void> {
    const { log, capabilityRefreshMs: refreshMs = capabilityRefreshMs } = this.#options;
    let pauseMs = capabilityRetryMs;
    while (!this.#isStopped()) {
      try {
        await this.#refreshCapabilities();
        pauseMs = refreshMs;
        onKnown();
      } catch (error) {
        if (!isAppError(error)) throw error;
        log.warn({ err: error }, 'discovery failed');
      }
      await delay(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  async #refreshCapabilities(): Promise<void> {
    const found = await readCapabilities(this.#options.api);
    const wanted: [boolean, ResourceKind][] = [
      [found.podGroups, podGroupKind],
      [found.podMonitors, podMonitorKind],
    ];
    for (const [offered, kind] of wanted) {
      if (this.#isStopped()) return;
      const cache = this.#owned.get(kind.kind);
      if (offered && cache === undefined) await this.#watchOwned(kind).start();
      if (!offered && cache !== undefined) {
        this.#owned.delete(kind.kind);
        await cache.stop();
      }
    }
    if (JSON.stringify(found) === JSON.stringify(this.#capabilities)) return;
    this.#capabilities = found;
    this.#options.log.info({ capabilities: found }, 'capabilities of the API server');
    for (const key of this.#clusters.groups()) this.#queue.add(key);
  }
}

const ownKey = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;
const labelKey = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.labels?.[labels.cluster] ?? ''}`;

const reportText = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[annotations.report];

/** A Lease but for its renewals and its report. */
function leaseOutline(lease: KubeObject): string {
  const { labels: marks, ownerReferences, deletionTimestamp, annotations: notes } = lease.metadata;
  const others = Object.entries(notes ?? {}).filter(([key]) => key !== annotations.report);
  return JSON.stringify([leaseSpec(lease).holderIdentity, marks, ownerReferences, deletionTimestamp, others]);
}

/** A report but for positions. */
function reportOutline(lease: KubeObject): string {
  const report = parseAnnotation(memberReportSchema, reportText(lease));
  return JSON.stringify(
    report === null ? null : [report.podUid, report.session, report.phase, report.reason, report.clusterId, report.eligible, report.leader],
  );
}
