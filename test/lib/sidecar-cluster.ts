// Real sidecar processes, a real nats-server and a real API server, without pods: the test stands in for the operator and opens the start round.
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from '../cluster/build.ts';
import { annotations, leaderLeaseName, memberPodName } from '../../common/names.ts';
import { parseAnnotation, waitingSchema, type MemberReport, type StartRound, type Waiting } from '../../common/report.ts';
import { startApiServer, type ApiServer } from './api-server.ts';
import { eventually } from './eventually.ts';
import { NatsAdmin } from './nats-admin.ts';
import { end, freePort, launch, SidecarProcess } from './sidecar-process.ts';

const cluster = 'trading';
const namespace = 'default';
const election = { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 };

type Environment = Readonly<Record<string, string>>;

export class SidecarCluster {
  readonly directory: string;
  readonly sidecars: readonly SidecarProcess[];
  readonly #api: ApiServer;
  readonly #natsPort: number;
  #nats: ChildProcess | null = null;
  #rounds = 0;

  private constructor(directory: string, api: ApiServer, natsPort: number, ports: readonly number[], env: Environment) {
    this.directory = directory;
    this.#api = api;
    this.#natsPort = natsPort;
    const nats = { url: `nats://127.0.0.1:${String(natsPort)}`, replicas: 1 };
    this.sidecars = ports.map((port, at) => {
      const pod = memberPodName(cluster, at);
      return new SidecarProcess({
        ...{ cluster, namespace, pod, podUid: `uid-${pod}`, port, directory },
        ...{ kubeconfig: api.kubeconfig, nats, election, env },
      });
    });
  }

  static async create(members = 3, env: Environment = {}): Promise<SidecarCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'controlcluster-sidecars-'));
    const api = await startApiServer();
    const ports = await Promise.all(Array.from({ length: members }, freePort));
    const made = new SidecarCluster(directory, api, await freePort(), ports, env);
    for (const name of [leaderLeaseName(cluster), ...made.sidecars.map(({ pod }) => pod)]) {
      await made.#kubectl(['create', '-f', '-'], {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace },
        spec: {},
      });
    }
    const lines = made.sidecars.map(({ pod, port }) => `${pod}.${cluster}-members.${namespace}.svc,${String(port)}\n`);
    await writeFile(join(directory, 'failover.csv'), lines.join(''));
    return made;
  }

  async #kubectl(args: readonly string[], input?: unknown): Promise<string> {
    const { code, stdout, stderr } = await this.#api.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** A stream of NATS, as an administrator sees it. */
  stream(name: string): NatsAdmin {
    return new NatsAdmin(`nats://127.0.0.1:${String(this.#natsPort)}`, name);
  }

  async startNats({ jetStream = true } = {}): Promise<void> {
    const config = join(this.directory, 'nats.conf');
    const store = join(this.directory, 'nats');
    const streams = jetStream ? `jetstream { store_dir: "${store}", sync_interval: always }\n` : '';
    await writeFile(config, `listen: "127.0.0.1:${String(this.#natsPort)}"\n${streams}`);
    this.#nats = launch([await binary('nats-server'), '-c', config], join(this.directory, 'nats.log'));
  }

  async stopNats(signal: NodeJS.Signals): Promise<void> {
    await end(this.#nats, signal);
  }

  start(pod: string): void {
    this.sidecar(pod).start();
  }

  async kill(pod: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.sidecar(pod).kill(signal);
  }

  sidecar(pod: string): SidecarProcess {
    const found = this.sidecars.find((sidecar) => sidecar.pod === pod);
    if (found === undefined) throw new Error(`no sidecar ${pod}`);
    return found;
  }

  call(pod: string, path: string, init: RequestInit = {}): Promise<Response> {
    return this.sidecar(pod).call(path, init);
  }

  status(pod: string): Promise<MemberReport> {
    return this.sidecar(pod).status();
  }

  /** As the operator does: all members wait, so a round is opened that counts their sessions. */
  async openRound(
    designated: string,
    { generation = 0, claim = 'elected' }: Partial<Pick<StartRound, 'generation' | 'claim'>> = {},
  ): Promise<void> {
    const reports = await Promise.all(this.sidecars.map(({ pod }) => this.status(pod)));
    this.#rounds += 1;
    const round: StartRound = {
      version: 1,
      number: this.#rounds,
      clusterId: reports.flatMap(({ clusterId }) => clusterId ?? [])[0] ?? 'cluster-of-the-test',
      generation,
      designated,
      claim,
      configuration: reports.map(({ pod, incarnation }) => ({ pod, incarnation })),
      counted: reports.map(({ pod, session }) => ({ pod, session })),
      highWaterMark: null,
      openedAt: new Date().toISOString(),
    };
    const patch = { metadata: { annotations: { [annotations.round]: JSON.stringify(round) } }, spec: { holderIdentity: '' } };
    await this.#kubectl(['patch', 'lease', leaderLeaseName(cluster), '--type=merge', '-p', JSON.stringify(patch)]);
  }

  /** What a pod that cannot report yet says on its member Lease. */
  async waiting(pod: string): Promise<Waiting | null> {
    const lease = JSON.parse(await this.#kubectl(['get', 'lease', pod, '--output', 'json'])) as {
      metadata: { annotations?: Record<string, string> };
    };
    return parseAnnotation(waitingSchema, lease.metadata.annotations?.[annotations.waiting]);
  }

  async holder(): Promise<string> {
    return this.#kubectl(['get', 'lease', leaderLeaseName(cluster), '--output', 'jsonpath={.spec.holderIdentity}']);
  }

  async waitPhases(phases: Readonly<Record<string, string>>, withinMs = 30_000): Promise<void> {
    await eventually(async () => {
      for (const [pod, phase] of Object.entries(phases)) {
        const report = await this.status(pod);
        if (report.phase !== phase) throw new Error(`${pod} is ${JSON.stringify(report)}, not ${phase}`);
      }
    }, withinMs);
  }

  async leader(withinMs = 30_000): Promise<string> {
    let found = '';
    await eventually(async () => {
      for (const sidecar of this.sidecars) if (sidecar.isAwake && (await sidecar.status()).phase === 'Leading') found = sidecar.pod;
      if (found === '') throw new Error('nobody leads');
    }, withinMs);
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.sidecars.map((sidecar) => sidecar.kill()));
    await end(this.#nats, 'SIGKILL');
    await this.#api.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
