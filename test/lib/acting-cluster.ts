// Plays the kubelets and the sidecars of one ControlCluster at a real API server: pods get the status that a test gives them, Leases the reports and renewals.
// The objects themselves are the operator's and the StatefulSet controller's.
import { randomUUID } from 'node:crypto';
import { annotations, labels, leaderLeaseName, sidecarContainer } from '../../common/names.ts';
import { emptyPosition, type Position } from '../../common/position.ts';
import { leaseIdentity, parseAnnotation, startRoundSchema, type MemberReport, type StartRound } from '../../common/report.ts';
import { controlClusterSchema, type ControlCluster } from '../../common/schema.ts';
import { mergePatch, type KubeApi } from '../../operator/controller/kube-api.ts';
import { clusterKind, leaseKind, namespacedPath, podKind, type ResourceKind } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import { eventually } from './eventually.ts';

const heartbeatMs = 1_000;
const roundMs = 30_000;
const now = (): string => new Date().toISOString().replace('Z', '000Z');

/** A position that ends with change `uid` of epoch `number`. */
export const positionAt = (number: number, uid: number): Position => ({
  epoch: { generation: 0, number, nonce: number === 0 ? '' : 'n' },
  uid,
  index: uid,
  hash: uid === 0 ? '' : uid.toString(16).padStart(64, '0'),
});

export class ActingCluster {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  readonly #heartbeatMs: number;
  readonly #reports = new Map<string, MemberReport>();
  #leader: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #beat: Promise<void> = Promise.resolve();

  constructor(api: KubeApi, namespace: string, name: string, beatMs = heartbeatMs) {
    this.#heartbeatMs = beatMs;
    this.api = api;
    this.namespace = namespace;
    this.name = name;
  }

  async get(kind: ResourceKind, name: string): Promise<KubeObject | null> {
    const answer = await this.api.send('GET', namespacedPath(kind, this.namespace, name));
    return answer.kind === 'ok' ? (answer.body as KubeObject) : null;
  }

  async cluster(): Promise<ControlCluster> {
    return controlClusterSchema.parse(await this.get(clusterKind, this.name));
  }

  async round(): Promise<StartRound | null> {
    const lease = await this.get(leaseKind, leaderLeaseName(this.name));
    return parseAnnotation(startRoundSchema, lease?.metadata.annotations?.[annotations.round]);
  }

  async holder(): Promise<string> {
    const lease = await this.get(leaseKind, leaderLeaseName(this.name));
    return (lease?.spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? '';
  }

  /** Merge patch; throws when it is refused. */
  async patch(kind: ResourceKind, name: string, body: object, subresource = ''): Promise<void> {
    const path = `${namespacedPath(kind, this.namespace, name)}${subresource}`;
    const answer = await this.api.send('PATCH', path, { body, contentType: mergePatch });
    if (answer.kind === 'refused') throw new Error(`${path}: ${answer.message}`);
  }

  /** Where no StatefulSet controller runs. */
  async createPod(name: string): Promise<void> {
    const metadata = { name, namespace: this.namespace, labels: { [labels.cluster]: this.name } };
    const spec = { serviceAccountName: this.name, automountServiceAccountToken: false, containers: [{ name: 'control', image: 'i' }] };
    const answer = await this.api.send('POST', namespacedPath(podKind, this.namespace), { body: { metadata, spec } });
    if (answer.kind === 'refused') throw new Error(answer.message);
  }

  /** What a kubelet says of a pod that runs. */
  async runPod(
    name: string,
    { ready = true, startedAt = new Date(), sidecar = {} }: { ready?: boolean; startedAt?: Date; sidecar?: object } = {},
  ): Promise<void> {
    const running = { running: { startedAt: startedAt.toISOString().replace(/\.\d+Z/, 'Z') } };
    const container = (of: string, state: object) => ({ name: of, image: 'i', imageID: '', ready, restartCount: 0, started: true, state });
    const own = { ...container(sidecarContainer, running), ...sidecar };
    await this.patch(
      podKind,
      name,
      {
        status: {
          phase: 'Running',
          conditions: [
            { type: 'PodScheduled', status: 'True' },
            { type: 'Ready', status: ready ? 'True' : 'False' },
          ],
          initContainerStatuses: [own],
          containerStatuses: [container('control', running)],
        },
      },
      '/status',
    );
  }

  /** The sidecar of the pod reports, now and at each heartbeat; a pod that reports for the first time has a new session. */
  async report(pod: string, changes: Partial<MemberReport> = {}): Promise<MemberReport> {
    const object = await this.get(podKind, pod);
    if (object === null) throw new Error(`no pod ${pod}`);
    const podUid = object.metadata.uid ?? '';
    const before = this.#reports.get(pod);
    const fresh = (): MemberReport => ({
      version: 1,
      pod,
      podUid,
      session: randomUUID(),
      role: 'member',
      incarnation: `disk-of-${pod}`,
      voter: true,
      configurations: [],
      phase: 'Waiting',
      clusterId: null,
      promise: emptyPosition.epoch,
      position: emptyPosition,
      acknowledged: null,
      eligible: false,
      leader: null,
      lag: 0,
      address: `${pod}:5000`,
      sidecarVersion: 'test',
    });
    const report = { ...(before?.podUid === podUid ? before : fresh()), ...changes };
    this.#reports.set(pod, report);
    await this.#renew(pod);
    this.#timer ??= setInterval(() => {
      this.#beat = this.#beatAll();
    }, this.#heartbeatMs);
    return report;
  }

  /** As the sidecars take it: from the round, for which they wait. A status that says `Electing` comes before the round that it announces. */
  async #clusterId(): Promise<string> {
    let clusterId = '';
    await eventually(async () => {
      const round = await this.round();
      if (round === null) throw new Error('no round is open');
      ({ clusterId } = round);
    }, roundMs);
    return clusterId;
  }

  /** Takes the leader Lease for a pod and says that it leads. */
  async lead(pod: string, position: Position): Promise<MemberReport> {
    const clusterId = await this.#clusterId();
    const acknowledged = position.uid === 0 ? null : position;
    const report = await this.report(pod, { phase: 'Leading', eligible: true, leader: pod, clusterId, position, acknowledged });
    await this.patch(leaseKind, leaderLeaseName(this.name), {
      spec: {
        holderIdentity: leaseIdentity(pod, report.podUid, report.session),
        leaseDurationSeconds: 6,
        acquireTime: now(),
        renewTime: now(),
      },
    });
    this.#leader = pod;
    return report;
  }

  async follow(pod: string, position: Position, changes: Partial<MemberReport> = {}): Promise<MemberReport> {
    const clusterId = await this.#clusterId();
    return this.report(pod, { phase: 'Following', eligible: true, leader: this.#leader, clusterId, position, ...changes });
  }

  /** The process in the pod ends without a word. */
  silence(pod: string): void {
    this.#reports.delete(pod);
    if (this.#leader === pod) this.#leader = null;
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#beat;
  }

  async #beatAll(): Promise<void> {
    // A pod or Lease that is gone meanwhile needs no heartbeat.
    await Promise.allSettled([
      ...[...this.#reports.keys()].map((pod) => this.#renew(pod)),
      ...(this.#leader === null ? [] : [this.patch(leaseKind, leaderLeaseName(this.name), { spec: { renewTime: now() } })]),
    ]);
  }

  async #renew(pod: string): Promise<void> {
    const report = JSON.stringify(this.#reports.get(pod));
    await this.patch(leaseKind, pod, {
      metadata: { annotations: { [annotations.report]: report } },
      spec: { holderIdentity: pod, renewTime: now() },
    });
  }
}
