// One active operator among its replicas: a Lease, by the rules of client-go. A candidate takes the Lease when it saw no renewal for `leaseDurationMs`;
// the holder gives up when it could not renew for `renewDeadlineMs`, which is shorter. Only local, monotonic time is used.
// It does not fence: what the active operator writes carries preconditions, and the members' votes decide what matters.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AppError, isAppError } from '../../common/errors.ts';
import type { KubeApi } from './kube-api.ts';
import { leaseKind, namespacedPath } from './resource-kind.ts';

export interface ElectionOptions {
  readonly namespace: string;
  readonly leaseName: string;
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

interface LeaseBody {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion?: string };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

const notFound = 404;
const conflict = 409;
const now = (): string => new Date().toISOString().replace('Z', '000Z');

export class LeaderElection {
  readonly #api: Pick<KubeApi, 'send'>;
  readonly #options: ElectionOptions;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #seen = { resourceVersion: '', atMs: 0 };
  #held: LeaseBody | null = null;
  #renewedMs = 0;
  /** What was logged last; the same again is not. */
  #complaint = '';

  constructor(api: Pick<KubeApi, 'send'>, options: ElectionOptions, log: Logger) {
    this.#api = api;
    this.#options = options;
    this.#log = log;
  }

  /** Resolves `true` when this replica holds the Lease, `false` when it was stopped before. */
  async acquire(): Promise<boolean> {
    while (!this.#stopping.signal.aborted) {
      if (await this.#try()) return true;
      await this.#pause();
    }
    return false;
  }

  /** Renews until the Lease is lost; resolves then, or when stopped. */
  async hold(): Promise<'lost' | 'stopped'> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause();
      // A request that hangs must not outlast the deadline: another replica takes the Lease soon after.
      const leftMs = Math.max(0, this.#renewedMs + this.#options.renewDeadlineMs - performance.now());
      const renewed = await Promise.race([this.#try(), delay(leftMs, false, { ref: false })]);
      if (!renewed && this.#mayHaveLost()) return 'lost';
    }
    return 'stopped';
  }

  #mayHaveLost(): boolean {
    return this.#held === null || performance.now() - this.#renewedMs >= this.#options.renewDeadlineMs;
  }

  /** Ends `acquire` and `hold`. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Frees the Lease when this replica holds it. Call it when all work has ended. */
  async release(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    try {
      await this.#write({ ...held, spec: { ...held.spec, holderIdentity: '', renewTime: now() } });
    } catch (error) {
      // Another replica takes it when it has run out.
      this.#complain(error);
    }
  }

  /** Throws what is no failure of operation. */
  #complain(error: unknown): void {
    if (!isAppError(error)) throw error;
    if (this.#complaint !== error.detail) this.#log.warn({ err: error }, 'leader election interrupted');
    this.#complaint = error.detail;
  }

  async #pause(): Promise<void> {
    const jitteredMs = this.#options.retryPeriodMs * (1 + Math.random() / 5);
    await delay(jitteredMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }

  /** Takes or renews the Lease. While the API server does not answer nothing is known to have changed. */
  async #try(): Promise<boolean> {
    const { identity } = this.#options;
    const startedMs = performance.now();
    try {
      const lease = await this.#read();
      const holder = lease.spec?.holderIdentity ?? '';
      if (holder !== identity) {
        this.#held = null;
        if (holder !== '' && !this.#hasExpired(lease)) return false;
      }
      const written = await this.#write({ ...lease, spec: this.#specFor(lease) });
      if (written === null) return false;
      this.#complaint = '';
      this.#held = written;
      this.#renewedMs = startedMs;
      return true;
    } catch (error) {
      this.#complain(error);
      return false;
    }
  }

  #hasExpired(lease: LeaseBody): boolean {
    const resourceVersion = lease.metadata.resourceVersion ?? '';
    if (this.#seen.resourceVersion !== resourceVersion) this.#seen = { resourceVersion, atMs: performance.now() };
    return performance.now() - this.#seen.atMs > this.#options.leaseDurationMs;
  }

  #specFor({ spec }: LeaseBody): NonNullable<LeaseBody['spec']> {
    const { identity, leaseDurationMs } = this.#options;
    const kept = spec?.holderIdentity === identity;
    const acquireTime = kept ? spec.acquireTime : undefined;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: acquireTime ?? now(),
      renewTime: now(),
      leaseTransitions: (spec?.leaseTransitions ?? 0) + (kept ? 0 : 1),
    };
  }

  async #read(): Promise<LeaseBody> {
    const { namespace, leaseName: name } = this.#options;
    const answer = await this.#api.send('GET', namespacedPath(leaseKind, namespace, name));
    if (answer.kind === 'ok') return answer.body as LeaseBody;
    if (answer.status === notFound) return { metadata: { name, namespace } };
    throw new AppError('api_unavailable', answer.message);
  }

  /** `null` when somebody else was faster. */
  async #write(lease: LeaseBody): Promise<LeaseBody | null> {
    const { namespace, leaseName } = this.#options;
    const body = { apiVersion: leaseKind.apiVersion, kind: leaseKind.kind, ...lease };
    const answer =
      lease.metadata.resourceVersion === undefined
        ? await this.#api.send('POST', namespacedPath(leaseKind, namespace), { body })
        : await this.#api.send('PUT', namespacedPath(leaseKind, namespace, leaseName), { body });
    if (answer.kind === 'ok') return answer.body as LeaseBody;
    if (answer.status === conflict || answer.status === notFound) return null;
    throw new AppError('api_unavailable', answer.message);
  }
}
