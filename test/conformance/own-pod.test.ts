// The contract of what a pod says of itself, held by the one at a real API server and by the one of the simulation.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { annotations, labels } from '../../common/names.ts';
import { emptyPosition } from '../../common/position.ts';
import type { MemberReport } from '../../common/report.ts';
import { KubeApi } from '../../sidecar/kube/kube-api.ts';
import { kubeconfigEndpoint } from '../../sidecar/kube/kubeconfig.ts';
import { createOwnPod } from '../../sidecar/kube/own-pod.ts';
import type { OwnPod } from '../../sidecar/ports.ts';
import { startApiServer, type ApiServer } from '../lib/api-server.ts';
import { eventually } from '../lib/eventually.ts';
import { reportOf } from '../lib/sample-report.ts';
import { TcpGate } from '../lib/tcp-gate.ts';
import { ApiServer as SimulatedApiServer } from '../simulation/api-server.ts';
import { Chance } from '../simulation/chance.ts';
import { runBeside } from '../simulation/run-beside.ts';
import { Scheduler } from '../simulation/scheduler.ts';
import { SimulatedOwnPod } from '../simulation/simulated-lease.ts';
import { Trace } from '../simulation/trace.ts';

const withinMs = 15_000;
const log = pino({ level: 'silent' });

interface Written {
  readonly report: MemberReport | null;
  /** Another with each write. */
  readonly renewal: string;
}

interface World {
  readonly pod: string;
  /** What a process of the pod has; the one before has ended. */
  open(): OwnPod;
  written(): Promise<Written>;
  tellToDiscard(session: string): Promise<void>;
  isLabelledLeader(): Promise<boolean>;
  takeLabelAway(): Promise<void>;
  setAvailable(available: boolean): void;
  drop(): Promise<void>;
}

let server: ApiServer;
let count = 0;

async function kubectl(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stdout, stderr } = await server.kubectl(args, input);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

interface Shown {
  readonly metadata: { readonly annotations?: Record<string, string>; readonly labels?: Record<string, string> };
  readonly spec: { readonly renewTime?: string };
}
const shown = async (kind: string, name: string): Promise<Shown> => JSON.parse(await kubectl(['get', kind, name, '-o', 'json'])) as Shown;

async function kubernetesWorld(): Promise<World> {
  const pod = `pod-${String((count += 1))}`;
  await kubectl(['create', '-f', '-'], { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: pod }, spec: {} });
  await kubectl(['create', '-f', '-'], {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  });
  const endpoint = kubeconfigEndpoint(server.kubeconfig);
  const { hostname, port } = new URL(endpoint.server);
  const gate = await TcpGate.start(hostname, Number(port));
  let close: () => void = () => undefined;
  return {
    pod,
    open() {
      close();
      const api = new KubeApi({ ...endpoint, server: `https://127.0.0.1:${String(gate.port)}` });
      const made = createOwnPod({ api, namespace: 'default', pod, podUid: 'uid', log });
      close = () => {
        made.close();
      };
      return made;
    },
    async written() {
      const { metadata, spec } = await shown('lease', pod);
      const text = metadata.annotations?.[annotations.report];
      return { report: text === undefined ? null : (JSON.parse(text) as MemberReport), renewal: spec.renewTime ?? '' };
    },
    async tellToDiscard(session) {
      await kubectl(['annotate', '--overwrite', 'lease', pod, `${annotations.discard}=${session}`]);
    },
    isLabelledLeader: async () => (await shown('pod', pod)).metadata.labels?.[labels.role] === 'leader',
    async takeLabelAway() {
      await kubectl(['label', 'pod', pod, `${labels.role}-`]);
    },
    setAvailable(available) {
      if (available) gate.open();
      else gate.shut();
    },
    async drop() {
      close();
      await gate.close();
    },
  };
}

async function simulatedWorld(): Promise<World> {
  const pod = 'pod-0';
  const chance = new Chance(1);
  const scheduler = new Scheduler(chance, new Trace());
  const api = new SimulatedApiServer(chance, 6000, () => undefined);
  api.addPod(pod, 'uid', 'r1');
  const drop = runBeside(scheduler);
  const host = { pod, apiReachable: true, rate: 1, reported: () => undefined };
  let life = { dead: false };
  return {
    pod,
    open() {
      life.dead = true;
      life = { dead: false };
      return new SimulatedOwnPod({ scheduler, api, chance }, host, { life });
    },
    async written() {
      const lease = api.memberLeases.get(pod);
      return { report: lease?.report ?? null, renewal: String(lease?.renewal) };
    },
    async tellToDiscard(session) {
      api.tellMember(pod, { discard: session });
    },
    isLabelledLeader: async () => api.pods.get(pod)?.labelledLeader === true,
    async takeLabelAway() {
      api.setPod(pod, { labelledLeader: false });
    },
    setAvailable(available) {
      host.apiReachable = available;
    },
    drop,
  };
}

beforeAll(async () => {
  server = await startApiServer();
  await kubectl(['create', 'serviceaccount', 'default']).catch(() => undefined);
});
afterAll(() => server.stop());

describe.each([
  ['at a real API server', kubernetesWorld],
  ['in a simulation', simulatedWorld],
])('a pod that tells of itself %s', (_, makeWorld) => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.drop());

  const reports = (expected: MemberReport): Promise<void> =>
    eventually(async () => {
      expect((await world.written()).report).toEqual(expected);
    }, withinMs);

  test('writes its newest report, and goes on as a heartbeat', async () => {
    const own = world.open();
    const report = reportOf(world.pod, 's1');
    own.report(report);
    own.report({ ...report, phase: 'Following' });
    await reports({ ...report, phase: 'Following' });
    const { renewal } = await world.written();
    await eventually(async () => {
      expect((await world.written()).renewal).not.toBe(renewal);
    }, withinMs);
  });

  test('finds what the process before it wrote, and nothing where none has written', async () => {
    const recorded = (own: OwnPod): Promise<unknown> => new Promise((resolve) => own.recorded(resolve));
    const before = world.open();
    expect(await recorded(before)).toBeNull();
    const report = { ...reportOf(world.pod, 'before'), position: { ...emptyPosition, uid: 7 } };
    before.report(report);
    await reports(report);
    const { session, promise, position } = report;
    expect(await recorded(world.open())).toMatchObject({ session, promise, position });
  });

  test('hears that its report was written, and what the operator tells it there', async () => {
    const own = world.open();
    const heard = new Set<string>();
    own.onReported((session) => heard.add(`reported ${session}`));
    own.onDiscard((session) => heard.add(`discard ${session}`));
    own.report(reportOf(world.pod, 's1'));
    await eventually(() => {
      expect([...heard]).toEqual(['reported s1']);
    }, withinMs);
    await world.tellToDiscard('s1');
    await eventually(() => {
      expect([...heard]).toEqual(['reported s1', 'discard s1']);
    }, withinMs);
  });

  test('is heard with its newest report when the API server is back', async () => {
    const own = world.open();
    const report = reportOf(world.pod, 's1');
    own.report(report);
    await reports(report);
    world.setAvailable(false);
    own.report({ ...report, phase: 'CatchingUp' });
    own.report({ ...report, phase: 'Following' });
    expect((await world.written()).report).toEqual(report);
    world.setAvailable(true);
    await reports({ ...report, phase: 'Following' });
  });

  test('labels its pod with its newest role, and again when somebody takes the label away', async () => {
    const own = world.open();
    const isLabelled = (): Promise<void> =>
      eventually(async () => {
        expect(await world.isLabelledLeader()).toBe(true);
      }, withinMs);
    own.labelRole('follower');
    own.labelRole('leader');
    own.report(reportOf(world.pod, 's1'));
    await isLabelled();
    await world.takeLabelAway();
    await isLabelled();
  });
});
