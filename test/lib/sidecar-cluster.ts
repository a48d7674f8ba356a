// Real sidecar processes, a real nats-server and a real API server, without pods: the test stands in for the operator and opens the start round.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from '../cluster/build.ts';
import { annotations, leaderLeaseName, memberPodName } from '../../common/names.ts';
import type { MemberReport, StartRound } from '../../common/report.ts';
import { startApiServer, type ApiServer } from './api-server.ts';
import { eventually } from './eventually.ts';

const cluster = 'trading';
const namespace = 'default';
const stopTimeoutMs = 8000;

interface Sidecar {
  readonly pod: string;
  readonly port: number;
  process: ChildProcess | null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function launch(program: string, args: readonly string[], log: string, env: Record<string, string> = {}): ChildProcess {
  const out = openSync(log, 'a');
  const child = spawn(program, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
  closeSync(out);
  return child;
}

async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}

export class SidecarCluster {
  readonly directory: string;
  readonly sidecars: readonly Sidecar[];
  readonly #api: ApiServer;
  readonly #natsPort: number;
  #nats: ChildProcess | null = null;
  #rounds = 0;

  private constructor(directory: string, api: ApiServer, natsPort: number, ports: readonly number[]) {
    this.directory = directory;
    this.#api = api;
    this.#natsPort = natsPort;
    this.sidecars = ports.map((port, at) => ({ pod: memberPodName(cluster, at), port, process: null }));
  }

  static async create(members = 3): Promise<SidecarCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'controlcluster-sidecars-'));
    const api = await startApiServer();
    const ports = await Promise.all(Array.from({ length: members }, freePort));
    const made = new SidecarCluster(directory, api, await freePort(), ports);
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

  async startNats({ jetStream = true } = {}): Promise<void> {
    const config = join(this.directory, 'nats.conf');
    const store = join(this.directory, 'nats');
    const streams = jetStream ? `jetstream { store_dir: "${store}", sync_interval: always }\n` : '';
    await writeFile(config, `listen: "127.0.0.1:${String(this.#natsPort)}"\n${streams}`);
    this.#nats = launch(await binary('nats-server'), ['-c', config], join(this.directory, 'nats.log'));
  }

  async stopNats(signal: NodeJS.Signals): Promise<void> {
    await end(this.#nats, signal);
  }

  start(pod: string): void {
    const sidecar = this.sidecar(pod);
    const data = join(this.directory, pod);
    mkdirSync(join(data, 'run'), { recursive: true });
    sidecar.process = launch(process.execPath, ['sidecar/main.ts'], join(this.directory, `${pod}.log`), {
      CC_CLUSTER: cluster,
      CC_NAMESPACE: namespace,
      CC_POD: pod,
      CC_POD_UID: `uid-${pod}`,
      CC_KIND: 'member',
      CC_PORT: String(sidecar.port),
      CC_NATS_URL: `nats://127.0.0.1:${String(this.#natsPort)}`,
      CC_NATS_REPLICAS: '1',
      CC_LEASE_DURATION_MS: '6000',
      CC_RENEW_DEADLINE_MS: '4000',
      CC_RETRY_PERIOD_MS: '1000',
      CC_DATA_DIR: data,
      CC_RUN_DIR: join(data, 'run'),
      CC_KUBECONFIG: this.#api.kubeconfig,
      DELTA_CONFIG: this.directory,
    });
  }

  async kill(pod: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await end(this.sidecar(pod).process, signal);
  }

  sidecar(pod: string): Sidecar {
    const found = this.sidecars.find((sidecar) => sidecar.pod === pod);
    if (found === undefined) throw new Error(`no sidecar ${pod}`);
    return found;
  }

  call(pod: string, path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${String(this.sidecar(pod).port)}${path}`, {
      ...init,
      signal: init.signal ?? AbortSignal.timeout(15_000),
    });
  }

  async status(pod: string): Promise<MemberReport> {
    const { report } = (await (await this.call(pod, '/v1/status')).json()) as { report: MemberReport };
    return report;
  }

  /** As the operator does: all members wait, so a round is opened that counts their sessions. */
  async openRound(designated: string): Promise<void> {
    const reports = await Promise.all(this.sidecars.map(({ pod }) => this.status(pod)));
    this.#rounds += 1;
    const round: StartRound = {
      version: 1,
      number: this.#rounds,
      clusterId: reports.flatMap(({ clusterId }) => clusterId ?? [])[0] ?? 'cluster-of-the-test',
      generation: 0,
      designated,
      claim: 'elected',
      configuration: reports.map(({ pod, incarnation }) => ({ pod, incarnation })),
      counted: reports.map(({ pod, session }) => ({ pod, session })),
      highWaterMark: null,
      openedAt: new Date().toISOString(),
    };
    const patch = { metadata: { annotations: { [annotations.round]: JSON.stringify(round) } }, spec: { holderIdentity: '' } };
    await this.#kubectl(['patch', 'lease', leaderLeaseName(cluster), '--type=merge', '-p', JSON.stringify(patch)]);
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
      for (const { pod, process: child } of this.sidecars) {
        if (child === null || child.exitCode !== null || child.signalCode !== null) continue;
        if ((await this.status(pod)).phase === 'Leading') found = pod;
      }
      if (found === '') throw new Error('nobody leads');
    }, withinMs);
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.sidecars.map(({ process: child }) => end(child, 'SIGKILL')));
    await end(this.#nats, 'SIGKILL');
    await this.#api.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
