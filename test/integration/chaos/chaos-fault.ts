// What is done to the cluster in one round, by name. A fault hurts, holds the hurt until something is seen, and heals; what it has killed may still be
// starting when it is done, but for a fault that costs a disk or a copy of the stream: before such a one, all is whole (GatedCluster.whole), so that
// of the disks a majority survives, or the stream does (I2).
import type { Chance } from '../../simulation/chance.ts';
import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../lib/eventually.ts';
import type { NatsServer } from '../../lib/nats-server.ts';
import type { TcpGate } from '../../lib/tcp-gate.ts';
import { leaseMs, type GatedCluster, type Node } from '../../lib/gated-cluster.ts';

const takeOverMs = 30_000;
const beyondLeaseMs = 1.25 * leaseMs;

export interface Scene {
  readonly cluster: GatedCluster;
  readonly chance: Chance;
  /** Resolves when a change was acknowledged that was asked for after this call. */
  readonly served: () => Promise<void>;
}

export interface Fault {
  readonly name: string;
  /** How often, in relation to the others. */
  readonly weight: number;
  /** It costs a disk or a copy of the stream. */
  readonly costsCopy?: true;
  readonly happen: (scene: Scene) => Promise<void>;
}

const all = <T>(of: readonly T[], deed: (each: T) => Promise<void>): Promise<unknown> => Promise.all(of.map(deed));
type Find = (scene: Scene) => Promise<Node>;
const leader: Find = ({ cluster }) => cluster.leader();
const follower: Find = async ({ cluster, chance }) => chance.pick(await cluster.followers());

/** The kubelet starts it again at once, or when the others have gone on without it. */
async function killAndStart(scene: Scene, find: Find, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const waits = scene.chance.happens(0.5);
  if (waits) await scene.cluster.joined();
  const node = await find(scene);
  await scene.cluster.killSidecar(node, signal);
  if (waits) await scene.served();
  await scene.cluster.startSidecar(node);
}

async function freezeLeader(scene: Scene): Promise<void> {
  await scene.cluster.joined();
  const { sidecar } = await scene.cluster.leader();
  sidecar.freeze();
  await eventually(async () => {
    const reports = await scene.cluster.reports();
    if (!reports.some(({ phase }) => phase === 'Leading')) throw new Error('nobody took over from a leader that is stopped');
  }, takeOverMs);
  await scene.served();
  sidecar.thaw();
}

/** The connections break, or nothing arrives any more; for a moment, or until the Lease has run out. */
async function cut(scene: Scene, find: (scene: Scene) => Promise<readonly TcpGate[]>): Promise<void> {
  await scene.cluster.joined();
  const gates = await find(scene);
  const breaks = scene.chance.happens(0.5);
  const heldMs = scene.chance.happens(0.5) ? beyondLeaseMs : scene.chance.between(0, beyondLeaseMs);
  for (const gate of gates)
    if (breaks) gate.shut();
    else gate.hold();
  await pause(heldMs);
  await scene.served();
  for (const gate of gates) gate.open();
}

async function bounce(
  servers: readonly NatsServer[],
  between: (server: NatsServer) => Promise<void> = async () => undefined,
): Promise<void> {
  await all(servers, (server) => server.stop('SIGKILL'));
  await all(servers, between);
  await all(servers, (server) => server.run());
}

async function loseVolumes({ cluster }: Scene, nodes: readonly Node[]): Promise<void> {
  await all(nodes, (node) => cluster.killSidecar(node));
  await all(nodes, ({ sidecar }) => rm(sidecar.dataDirectory, { recursive: true }));
  await all(nodes, (node) => cluster.startSidecar(node));
}

const onSidecars: readonly Fault[] = [
  { name: 'leader killed', weight: 10, happen: (scene) => killAndStart(scene, leader) },
  { name: 'follower killed', weight: 8, happen: (scene) => killAndStart(scene, follower) },
  { name: 'leader told to stop', weight: 4, happen: (scene) => killAndStart(scene, leader, 'SIGTERM') },
  { name: 'leader stopped past the Lease', weight: 6, happen: freezeLeader },
  {
    name: 'follower stopped',
    weight: 6,
    happen: async (scene) => {
      await scene.cluster.joined();
      const { sidecar } = await follower(scene);
      sidecar.freeze();
      await scene.served();
      sidecar.thaw();
    },
  },
  {
    name: 'all killed at once',
    weight: 3,
    happen: async ({ cluster }) => {
      await all(cluster.nodes, (node) => cluster.killSidecar(node));
      await all(cluster.nodes, (node) => cluster.startSidecar(node));
    },
  },
];

const onNetwork: readonly Fault[] = [
  { name: 'leader cut from NATS', weight: 6, happen: (scene) => cut(scene, async () => (await leader(scene)).natsGates) },
  { name: 'follower cut from NATS', weight: 6, happen: (scene) => cut(scene, async () => (await follower(scene)).natsGates) },
  { name: 'leader cut from the API server', weight: 5, happen: (scene) => cut(scene, async () => [(await leader(scene)).apiGate]) },
  {
    name: 'all cut from the API server',
    weight: 4,
    happen: (scene) => cut(scene, async ({ cluster }) => cluster.nodes.map(({ apiGate }) => apiGate)),
  },
  {
    name: 'API server stopped',
    weight: 3,
    happen: async (scene) => {
      await scene.cluster.joined();
      scene.cluster.server.freeze();
      await pause(beyondLeaseMs);
      await scene.served();
      scene.cluster.server.thaw();
    },
  },
];

const onNats: readonly Fault[] = [
  {
    name: 'NATS node killed',
    weight: 4,
    happen: async ({ cluster, chance }) => {
      const leader = await cluster.streamLeader();
      await bounce([chance.pick(cluster.nats.filter((server) => server !== leader))]);
    },
  },
  {
    name: 'stream leader killed',
    weight: 2,
    happen: async ({ cluster, chance }) => bounce([(await cluster.streamLeader()) ?? chance.pick(cluster.nats)]),
  },
  { name: 'all of NATS killed', weight: 2, happen: async ({ cluster }) => bounce(cluster.nats) },
  {
    name: 'all of NATS and all sidecars killed',
    weight: 1,
    happen: async ({ cluster }) => {
      await all(cluster.nodes, (node) => cluster.killSidecar(node));
      await bounce(cluster.nats);
      await all(cluster.nodes, (node) => cluster.startSidecar(node));
    },
  },
];

const onDisks: readonly Fault[] = [
  {
    name: 'store of a NATS node lost',
    weight: 1,
    costsCopy: true,
    happen: async ({ cluster, chance }) => bounce([chance.pick(cluster.nats)], (server) => server.loseStore()),
  },
  {
    name: 'all stores of NATS lost',
    weight: 1,
    costsCopy: true,
    happen: async ({ cluster }) => bounce(cluster.nats, (server) => server.loseStore()),
  },
  {
    name: 'volume of the leader lost',
    weight: 1,
    costsCopy: true,
    happen: async (scene) => loseVolumes(scene, [await scene.cluster.leader()]),
  },
  { name: 'volume of a follower lost', weight: 2, costsCopy: true, happen: async (scene) => loseVolumes(scene, [await follower(scene)]) },
  { name: 'all volumes lost', weight: 1, costsCopy: true, happen: (scene) => loseVolumes(scene, scene.cluster.nodes) },
];

const faults = [...onSidecars, ...onNetwork, ...onNats, ...onDisks];

/** Of those whose name has one of `only` in it, which commas separate: each once, in any order; then by weight, for ever. */
export function* chosenFaults(chance: Chance, only: string): Generator<Fault, never> {
  const among = faults.filter(({ name }) => only.split(',').some((part) => name.includes(part)));
  const first = [...among];
  while (first.length > 0) yield* first.splice(chance.below(first.length), 1);
  const lots = among.flatMap((fault) => Array.from({ length: fault.weight }, () => fault));
  for (;;) yield chance.pick(lots);
}
