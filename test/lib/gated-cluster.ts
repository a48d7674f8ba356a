// A cluster that can be hurt: three real sidecars, a NATS cluster of three real servers, a real API server and the real operator, with a gate on each
// way from a sidecar to NATS and to the API server. The kubelets are played: they say in the pod's status that a sidecar has ended or runs.
// It hurts what it is told to hurt, and says when all is well again; it judges nothing.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memberPodName, streamName } from '../../common/names.ts';
import type { MemberReport } from '../../common/report.ts';
import { decodeFrame } from '../../sidecar/core/frame.ts';
import { unpackFrames } from '../../sidecar/core/message.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { leaseKind, podKind } from '../../operator/controller/resource-kind.ts';
import { ActingCluster } from './acting-cluster.ts';
import type { ApiServer } from './api-server.ts';
import { eventually } from './eventually.ts';
import { KeptOperator } from './kept-operator.ts';
import { NatsAdmin } from './nats-admin.ts';
import { NatsServer } from './nats-server.ts';
import { clientOf, createCluster, startOperatorServer } from './operator-under-test.ts';
import { freePort, SidecarProcess } from './sidecar-process.ts';
import { TcpGate } from './tcp-gate.ts';

export const pods = [0, 1, 2].map((at) => memberPodName('trading', at));
const namespace = 'default';
export const leaseMs = 2000;
const election = { leaseDurationMs: leaseMs, renewDeadlineMs: 1400, retryPeriodMs: 300 };
const milliseconds = (ms: number): string => `${String(ms)}ms`;
const objectsMs = 30_000;
const wholeMs = 90_000;
const leaderMs = 60_000;
/** A sidecar that does not say its status in this time is not asked again in the same look. */
const statusTimeoutMs = 1000;
/** Looks cost processor time, which those that are looked at need. */
const lookMs = 50;
const natsPort = 4222;

export interface Node {
  readonly sidecar: SidecarProcess;
  readonly apiGate: TcpGate;
  readonly natsGates: readonly TcpGate[];
}

/** What sidecars run under. */
export interface Surroundings {
  readonly nodeArgs?: readonly string[];
  /** See `SidecarOptions`. */
  readonly wrapper?: (pod: string, directory: string) => readonly string[];
}

export class GatedCluster {
  readonly directory: string;
  readonly nodes: readonly Node[];
  readonly nats: readonly NatsServer[];
  readonly acting: ActingCluster;
  readonly server: ApiServer;
  readonly #operator: KeptOperator;
  readonly #admin: NatsAdmin;

  private constructor(
    parts: { directory: string; server: ApiServer; operator: KeptOperator; acting: ActingCluster },
    nats: readonly NatsServer[],
    nodes: readonly Node[],
  ) {
    this.directory = parts.directory;
    this.server = parts.server;
    this.#operator = parts.operator;
    this.acting = parts.acting;
    this.nats = nats;
    this.nodes = nodes;
    this.#admin = new NatsAdmin(nats.map(({ url }) => url).join(','), streamName(namespace, 'trading'));
  }

  static async start(under: Surroundings = {}): Promise<GatedCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'controlcluster-gated-'));
    const [server, nats] = await Promise.all([startOperatorServer(), NatsServer.startCluster(pods.length)]);
    const api = clientOf(server);
    const operator = await KeptOperator.start(server);
    const acting = new ActingCluster(api, namespace, 'trading');
    await createCluster(api, namespace, 'trading', {
      election: {
        leaseDuration: milliseconds(election.leaseDurationMs),
        renewDeadline: milliseconds(election.renewDeadlineMs),
        retryPeriod: milliseconds(election.retryPeriodMs),
      },
    });
    for (const pod of pods) {
      await eventually(() => acting.createPod(pod), objectsMs);
      await eventually(async () => {
        if ((await acting.get(leaseKind, pod)) === null) throw new Error(`the operator has made no Lease for ${pod}`);
      }, objectsMs);
    }
    await writeFile(join(directory, 'failover.csv'), pods.map((pod) => `${pod}.trading-members.${namespace}.svc,5000\n`).join(''));
    const nodes = await Promise.all(pods.map((pod) => makeNode(pod, directory, server, nats, acting, under)));
    const cluster = new GatedCluster({ directory, server, operator, acting }, nats, nodes);
    await Promise.all(nodes.map((node) => cluster.startSidecar(node)));
    await cluster.whole();
    return cluster;
  }

  node(pod: string): Node {
    const found = this.nodes.find(({ sidecar }) => sidecar.pod === pod);
    if (found === undefined) throw new Error(`no pod ${pod}`);
    return found;
  }

  async startSidecar({ sidecar }: Node): Promise<void> {
    sidecar.start();
    await this.acting.runPod(sidecar.pod);
  }

  /** With the end of a process comes the word of its kubelet. */
  async killSidecar({ sidecar }: Node, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await sidecar.kill(signal);
    const terminated = { exitCode: 137, reason: 'Error', finishedAt: new Date().toISOString() };
    const waiting = { reason: 'CrashLoopBackOff', message: '' };
    await this.acting.runPod(sidecar.pod, { ready: false, sidecar: { state: { waiting }, lastState: { terminated } } });
  }

  /** Of those that answer. */
  async reports(): Promise<MemberReport[]> {
    const awake = this.nodes.filter(({ sidecar }) => sidecar.isAwake);
    const answers = await Promise.allSettled(awake.map(({ sidecar }) => sidecar.status(statusTimeoutMs)));
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  }

  /** The one that leads, of several the one of the highest epoch. */
  async leader(): Promise<Node> {
    let found: MemberReport | undefined;
    await eventually(
      async () => {
        const leading = (await this.reports()).filter(({ phase }) => phase === 'Leading');
        [found] = leading.sort((a, b) => b.promise.number - a.promise.number);
        if (found === undefined) throw new Error('nobody leads');
      },
      leaderMs,
      lookMs,
    );
    return this.node(found?.pod ?? '');
  }

  async followers(): Promise<Node[]> {
    const leader = await this.leader();
    return this.nodes.filter((node) => node !== leader);
  }

  /**
   * One leads, the others follow it and all three disks count, so that the cluster goes on without any one of them. Before that it need not: members that
   * were started and have met no leader wait for a start round, and of a disk that does not count yet the old one is missed.
   */
  async joined(): Promise<void> {
    const look = async (): Promise<void> => {
      await this.#leaderOfAll();
    };
    await eventually(look, wholeMs, lookMs);
  }

  /** Beyond that the stream has all its copies. Then any one disk may be lost, or the stream, or all disks. */
  async whole(): Promise<void> {
    await eventually(async () => this.#streamHolds(await this.#leaderOfAll()), wholeMs, lookMs);
  }

  async #leaderOfAll(): Promise<MemberReport> {
    const reports = await this.reports();
    const leader = reports.find(({ phase }) => phase === 'Leading');
    const counting = reports.filter(({ voter, phase }) => voter && (phase === 'Leading' || phase === 'Following'));
    const behind = counting.filter(({ promise }) => promise.nonce !== leader?.promise.nonce);
    if (leader === undefined || counting.length < pods.length || behind.length > 0 || leader.configurations.length !== 1)
      throw new Error(`not whole: ${JSON.stringify(reports)}`);
    return leader;
  }

  /** Its copies are in step, and it ends with the leader's log, or with the last of what a claim before it filled in. */
  async #streamHolds({ position: { index } }: MemberReport): Promise<void> {
    await this.#admin.with(async (manager) => {
      const name = streamName(namespace, 'trading');
      const { state, cluster } = await manager.streams.info(name);
      const replicas = cluster?.replicas ?? [];
      const last = await manager.streams.getMessage(name, { seq: state.last_seq });
      const frames = (unpackFrames(last.data) ?? []).map((bytes) => decodeFrame(bytes, sha256));
      const ends = frames.flatMap((frame) => ('error' in frame ? [] : [frame.index]));
      if (Math.max(...ends) < index - 1 || replicas.length + 1 < this.nats.length || !replicas.every(({ current }) => current))
        throw new Error(`the stream is not whole: ${JSON.stringify({ state, cluster, ends, index })}`);
    });
  }

  /** The server that leads the stream, `undefined` while none does. */
  async streamLeader(): Promise<NatsServer | undefined> {
    const name = await this.#admin.leader().catch(() => undefined);
    return this.nats.find((server) => server.name === name);
  }

  /** Logs of all processes, for people who look for what went wrong. */
  async keepLogs(into: string): Promise<void> {
    await mkdir(into, { recursive: true });
    for (const { sidecar } of this.nodes) await copyFile(sidecar.logFile, join(into, `${sidecar.pod}.log`));
    for (const server of this.nats) await copyFile(server.logFile, join(into, `${server.name}.log`));
    await writeFile(join(into, 'reports.json'), JSON.stringify(await this.reports(), null, 2));
    const objects = await this.server.kubectl(['get', 'controlclusters,leases', '-n', namespace, '-o', 'json']);
    await writeFile(join(into, 'objects.json'), objects.stdout);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ sidecar }) => sidecar.kill()));
    await Promise.all(this.nodes.flatMap(({ apiGate, natsGates }) => [apiGate, ...natsGates]).map((gate) => gate.close()));
    await Promise.all(this.nats.map((server) => server.drop()));
    this.server.thaw();
    await this.acting.stop();
    await this.#operator.stop();
    await this.server.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function makeNode(
  pod: string,
  directory: string,
  server: ApiServer,
  nats: readonly NatsServer[],
  acting: ActingCluster,
  under: Surroundings,
): Promise<Node> {
  const kubeconfig = await readFile(server.kubeconfig, 'utf8');
  const [, url = ''] = /server"?: *"?(https:[^"\s]+)/.exec(kubeconfig) ?? [];
  const { hostname, port } = new URL(url);
  const apiGate = await TcpGate.start(hostname, Number(port));
  const own = join(directory, `${pod}.kubeconfig`);
  await writeFile(own, kubeconfig.replace(url, `https://127.0.0.1:${String(apiGate.port)}`));
  const natsGates = await Promise.all(nats.map(({ address }) => TcpGate.start(address, natsPort)));
  const sidecar = new SidecarProcess({
    ...{
      cluster: 'trading',
      namespace,
      pod,
      podUid: (await acting.get(podKind, pod))?.metadata.uid ?? '',
      port: await freePort(),
      directory,
    },
    kubeconfig: own,
    nats: { url: natsGates.map((gate) => `nats://127.0.0.1:${String(gate.port)}`).join(','), replicas: nats.length },
    election,
    nodeArgs: under.nodeArgs ?? [],
    wrapper: under.wrapper?.(pod, directory) ?? [],
  });
  return { sidecar, apiGate, natsGates };
}
