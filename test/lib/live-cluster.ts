// One ControlCluster of one scenario on the bundled cluster, in a namespace of its own: everything is asked by the means that a user has.
import { annotations, apiVersion, kind, labels, leaderLeaseName, leaderServiceName } from '../../common/names.ts';
import { memberReportSchema, parseAnnotation, podOfIdentity, type MemberReport } from '../../common/report.ts';
import type { ControlClusterStatus } from '../../common/status.ts';
import { containerProcesses } from './container-process.ts';
import { eventuallySeen } from './eventually.ts';
import { systemNamespace } from './installation.ts';
import { attemptKubectl, getJson, kubectl } from './kubectl.ts';

const readyMs = 120_000;
const agreedMs = 60_000;
const pageSize = 1000;
const region = 'topology.kubernetes.io/region';
export const container = 'control';
export const image = 'node:24-slim';
export const unprivileged = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
export const podSecurity = { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } };
const userProgram = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)";

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
  readonly state: { readonly running?: { readonly startedAt: string } };
}

export interface LoggedChange {
  readonly uid: number;
  readonly idempotencyKey?: string;
}

interface Lease {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: { readonly holderIdentity?: string };
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export class LiveCluster {
  readonly name = 'trading';
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  kubectl(args: readonly string[], input?: unknown): Promise<string> {
    return kubectl(['--namespace', this.namespace, ...args], input);
  }

  get<T>(args: readonly string[]): Promise<T> {
    return getJson(['--namespace', this.namespace, ...args]);
  }

  async createNamespace(): Promise<void> {
    const enforced = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await kubectl(['apply', '-f', '-'], { apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace, labels: enforced } });
  }

  /** Three members, each on a main node of its own, and one replica on the `dr` node. */
  async apply(): Promise<void> {
    const memberSelector = { matchLabels: { [labels.cluster]: this.name, 'app.kubernetes.io/component': 'member' } };
    const spread = {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: memberSelector,
    };
    const command = ['node', '--eval', userProgram];
    const control = { name: container, image, imagePullPolicy: 'IfNotPresent', command, securityContext: unprivileged };
    await this.kubectl(['apply', '-f', '-'], {
      apiVersion,
      kind,
      metadata: { name: this.name },
      spec: {
        members: 3,
        disasterRecovery: { replicas: 1, nodeSelector: { [region]: 'dr' } },
        replication: { nats: { url: `nats://nats.${systemNamespace}:4222`, replicas: 1 } },
        storage: { size: '100Mi' },
        template: {
          spec: {
            nodeSelector: { [region]: 'main' },
            securityContext: podSecurity,
            topologySpreadConstraints: [spread],
            containers: [control],
          },
        },
      },
    });
  }

  async status(): Promise<ControlClusterStatus> {
    return (await this.get<{ status?: ControlClusterStatus }>(['controlcluster', this.name])).status ?? {};
  }

  /** Resolves when the user's containers of all pods run: each starts when its member is in sync. */
  async usersReady(): Promise<void> {
    await this.kubectl(['wait', 'pods', ...this.#selected, '--for=condition=Ready', `--timeout=${String(readyMs / 1000)}s`]);
  }

  /** All at once. */
  async deletePods(): Promise<void> {
    await this.kubectl(['delete', 'pods', ...this.#selected, '--wait=false']);
  }

  get #selected(): string[] {
    return ['--selector', `${labels.cluster}=${this.name}`];
  }

  async running(withinMs = readyMs): Promise<ControlClusterStatus> {
    let found: ControlClusterStatus = {};
    await eventuallySeen(async () => {
      found = await this.status();
      if (found.phase !== 'Running') throw new Error(`not Running: ${JSON.stringify(found)}`);
    }, withinMs);
    return found;
  }

  async pods(): Promise<Pod[]> {
    return (await this.get<{ items: Pod[] }>(['pods', ...this.#selected])).items;
  }

  async pod(name: string): Promise<Pod> {
    return this.get(['pod', name]);
  }

  /** What a pod last said of itself, from its Lease: also of a pod that cannot be reached. */
  async lastReport(pod: string): Promise<MemberReport | null> {
    const lease = await this.get<Lease>(['lease', pod]);
    return parseAnnotation(memberReportSchema, lease.metadata.annotations?.[annotations.report]);
  }

  /** The member that holds the Lease and has opened; as Kubernetes has it, so that no operator is needed. */
  async leader({ otherThan = '', withinMs = readyMs } = {}): Promise<string> {
    let found = '';
    await eventuallySeen(async () => {
      const lease = await this.get<Lease>(['lease', leaderLeaseName(this.name)]);
      found = podOfIdentity(lease.spec?.holderIdentity ?? '');
      if (found === '' || found === otherThan) throw new Error(`the Lease is held by "${found}"`);
      const report = await this.lastReport(found);
      if (report?.phase !== 'Leading') throw new Error(`${found} holds the Lease and is ${String(report?.phase)}`);
    }, withinMs);
    return found;
  }

  async follows(pod: string, withinMs = readyMs): Promise<void> {
    await eventuallySeen(async () => {
      const report = await this.report(pod);
      if (report.phase !== 'Following') throw new Error(`${pod} is ${JSON.stringify(report)}`);
    }, withinMs);
  }

  /** The pods that the Service of the leader leads to. */
  async servicePods(): Promise<string[]> {
    interface Slice {
      readonly endpoints?: readonly { readonly conditions: { readonly ready?: boolean }; readonly targetRef?: { readonly name: string } }[];
    }
    const ofService = `kubernetes.io/service-name=${leaderServiceName(this.name)}`;
    const { items } = await this.get<{ items: Slice[] }>(['endpointslices', '--selector', ofService]);
    return items.flatMap(({ endpoints = [] }) =>
      endpoints.flatMap(({ conditions, targetRef }) => (conditions.ready === true && targetRef ? [targetRef.name] : [])),
    );
  }

  /** A program in the user's container, where no credentials are needed; its standard output. */
  exec(pod: string, program: string, ...args: readonly string[]): Promise<string> {
    return this.kubectl(['exec', pod, '-c', container, '--', 'node', '--input-type=module', '--eval', program, '--', ...args]);
  }

  /** The Process API from inside the user's container. */
  async call(pod: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const program = `const [, path, method, body] = process.argv;
      const headers = body ? { 'content-type': 'application/json' } : {};
      const response = await fetch(process.env.CONTROLCLUSTER_URL + path, { method, body: body || undefined, headers });
      process.stdout.write(JSON.stringify({ status: response.status, text: await response.text() }));`;
    return JSON.parse(await this.exec(pod, program, path, method, body === undefined ? '' : JSON.stringify(body))) as Answer;
  }

  async report(pod: string): Promise<MemberReport> {
    return (JSON.parse((await this.call(pod, 'GET', '/v1/status')).text) as { report: MemberReport }).report;
  }

  /** Resolves with the end of the log when every member and replica has it and has applied it. */
  async agreed(withinMs = agreedMs): Promise<{ readonly uid: number; readonly hash: string }> {
    let found = { uid: 0, hash: '' };
    await eventuallySeen(async () => {
      const names = (await this.pods()).map(({ metadata }) => metadata.name);
      const reports = await Promise.all(names.map((name) => this.report(name)));
      const ends = reports.map(({ position, acknowledged }) => `${position.hash} ${String(position.uid)} ${String(acknowledged?.uid)}`);
      const [first] = reports;
      if (first === undefined || new Set(ends).size !== 1 || first.position.uid !== first.acknowledged?.uid)
        throw new Error(`not the same: ${ends.join('; ')}`);
      found = first.position;
    }, withinMs);
    return found;
  }

  /** The whole log as a pod has it. */
  async log(pod: string): Promise<LoggedChange[]> {
    const found: LoggedChange[] = [];
    for (;;) {
      const { text } = await this.call(pod, 'GET', `/v1/changes?fromUid=${String(found.length + 1)}&limit=${String(pageSize)}`);
      const page = text.split('\n').filter((line) => line !== '');
      if (page.length === 0) return found;
      found.push(...page.map((line) => JSON.parse(line) as LoggedChange));
    }
  }

  /** Ends the sidecar's process of a pod as a crash does. */
  killSidecar(pod: string): void {
    process.kill(this.sidecarProcess(pod), 'SIGKILL');
  }

  sidecarProcess(pod: string): number {
    const [pid] = containerProcesses('sidecar/main.ts', { CC_POD: pod, CC_NAMESPACE: this.namespace });
    if (pid === undefined) throw new Error(`no sidecar process of ${pod}`);
    return pid;
  }

  /** Removes the scenario with its data. */
  async remove(): Promise<void> {
    await attemptKubectl(['delete', 'namespace', this.namespace, '--ignore-not-found', '--timeout=2m']);
  }
}
