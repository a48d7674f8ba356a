// Brings the bundled cluster up: makes whatever is missing, starts whatever does not run, and waits until pods can be scheduled, find each
// other by name and get volumes. On a cluster that is up it only looks; on one that lost a component it starts that component; what a
// start that did not go through has left is removed first.

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { allProcesses } from './cgroup.ts';
import { binary, buildAll } from './build.ts';
import { ClusterError, run } from './command.ts';
import { controlPlane, waitUntilReady } from './control-plane.ts';
import type { Component, ControlPlaneParts } from './control-plane.ts';
import { daemonFailure, daemonProcess, startDaemon } from './daemon.ts';
import { dnsObjects, prepareDns, waitForDns } from './dns.ts';
import { baseArchive, buildImage, natsReference, pauseReference, programArchive } from './image.ts';
import type { Archive } from './image.ts';
import { copyStore, imageStore, importArchive, waitForContainerd } from './image-store.ts';
import { ensureNetwork, hostAddress, nodeAddresses } from './network.ts';
import type { NodeAddress } from './network.ts';
import { containerdSocket, imageDirectory, nodeDirectory, prepareNode } from './node.ts';
import type { NodeParts } from './node.ts';
import { ensurePrerequisites, isRoot } from './prerequisites.ts';
import { Progress } from './progress.ts';
import { checkout, exclusively, readState, stateDirectory, writeState } from './state.ts';
import type { ClusterState } from './state.ts';
import { prepareStorage, storageObjects } from './storage.ts';
import { readKernelSettings, tearDown } from './teardown.ts';

/** A loopback address of the cluster's own, so that no other etcd is in the way. */
const etcdAddress = '127.213.0.1';
const readyTimeoutMs = 120_000;
const pollMs = 300;

/** The repository's own images, each built when its Dockerfile is there. */
const ownImages = ['operator', 'sidecar'] as const;
export const ownReference = (name: (typeof ownImages)[number]): string => `docker.io/controlcluster/${name}:dev`;
/** Steps of a start, for the progress display. */
const steps = { fresh: 5, kept: 3 } as const;

export const defaultNodes = 4;

/** Every daemon of a cluster, in the order of their start. */
export interface ClusterParts {
  readonly control: ControlPlaneParts;
  readonly nodes: readonly NodeParts[];
  readonly dns: Component;
  readonly storage: Component;
  /** Nodes that were off the network, and are on it now. */
  readonly joined: readonly NodeAddress[];
}

/** What `up` has done. */
export type Outcome =
  { readonly kind: 'Started' } | { readonly kind: 'Kept'; readonly restarted: readonly string[]; readonly loaded: readonly string[] };

/** Brings the cluster up. Throws ClusterError when another checkout's cluster runs, or `nodes` is given and differs from what runs. */
export async function up(nodes?: number): Promise<Outcome> {
  await ensurePrerequisites();
  return exclusively(async () => {
    const found = await stateToKeep(nodes);
    await buildAll();
    const progress = new Progress(found === undefined ? steps.fresh : steps.kept);
    if (found === undefined) await progress.step('removing leftovers', async () => tearDown());
    const archives = await progress.step('images', prepareImages);
    const state = found ?? (await newState(nodes ?? defaultNodes));
    if (found === undefined) await progress.step('placing images', async () => placeImages(state, archives));
    const started = await progress.step('starting', async (say) => start(state, say));
    const loaded = await progress.step('loading changed images', async (say) => load(state, archives.all, say));
    await writeState({ ...state, phase: 'Running' });
    return found === undefined ? { kind: 'Started' } : { kind: 'Kept', restarted: started, loaded };
  });
}

/** Makes everything that `up` would have to make first and that takes long: programs, and, as root, the images that seldom change. */
export async function build(): Promise<void> {
  if (isRoot()) await ensurePrerequisites();
  await buildAll();
  if (isRoot()) await new Progress(1).step('images', fixedImages);
}

async function newState(nodes: number): Promise<ClusterState> {
  const state: ClusterState = { owner: checkout, nodes, phase: 'Starting', images: {}, kernel: await readKernelSettings() };
  await writeState(state);
  return state;
}

/** Gives each node its images before it starts. */
async function placeImages(state: ClusterState, archives: Images): Promise<void> {
  // The repository's own images come last: when they change, the store of the others is the beginning of the new one.
  await imageStore(archives.fixed);
  const store = await imageStore(archives.all);
  for (const { name } of nodeAddresses(state.nodes)) {
    await mkdir(nodeDirectory(name), { recursive: true });
    await copyStore(store, imageDirectory(name));
  }
  for (const { reference, key } of archives.all) state.images[reference] = key;
}

/** Loads the archives that the nodes do not hold yet, into all nodes at once, and says which. Changes and writes the state. */
export async function load(state: ClusterState, archives: readonly Archive[], say: (line: string) => void): Promise<string[]> {
  const changed = archives.filter(({ reference, key }) => state.images[reference] !== key);
  for (const archive of changed) {
    say(archive.reference);
    await Promise.all(nodeAddresses(state.nodes).map(async ({ name }) => importArchive(containerdSocket(name), archive)));
    state.images[archive.reference] = archive.key;
    await writeState(state);
  }
  return changed.map(({ reference }) => reference);
}

/** The state of the cluster that runs and is ours, to be repaired or left alone; undefined when everything is to be made anew. */
async function stateToKeep(nodes: number | undefined): Promise<ClusterState | undefined> {
  const state = await runningState();
  if (state === undefined) return undefined;
  refuseForeign(state, 'up');
  if (state.phase === 'Starting') return undefined;
  if (nodes !== undefined && nodes !== state.nodes) {
    throw new ClusterError(
      `A cluster with ${String(state.nodes)} nodes is up; it cannot change to ${String(nodes)}. \`npm run cluster -- down\` removes it.`,
    );
  }
  return state;
}

/** The state of the cluster of which something runs. Of one that is only leftovers, any checkout may remove them. */
export async function runningState(): Promise<ClusterState | undefined> {
  return (await allProcesses()).length > 0 ? readState() : undefined;
}

/** Throws ClusterError when the cluster belongs to another checkout. */
export function refuseForeign(state: ClusterState, command: string): void {
  if (state.owner === checkout) return;
  throw new ClusterError(
    `The cluster on this machine belongs to the checkout ${state.owner}; there can be one at a time, and \`${command}\` from ${checkout} leaves it alone. ` +
      `Remove it with \`npm run cluster -- down\` there, or \`npm run cluster -- down --force\` here.`,
  );
}

async function fixedImages(say: (line: string) => void): Promise<Archive[]> {
  return [await programArchive('pause', pauseReference), await baseArchive(say), await programArchive('nats-server', natsReference)];
}

interface Images {
  /** Those that seldom change. */
  readonly fixed: readonly Archive[];
  readonly all: readonly Archive[];
}

async function prepareImages(say: (line: string) => void): Promise<Images> {
  const fixed = await fixedImages(say);
  const own: Archive[] = [];
  const present = await readdir(checkout);
  for (const name of ownImages) {
    const dockerfile = `Dockerfile.${name}`;
    if (!present.includes(dockerfile)) continue;
    say(`building ${name}`);
    own.push(await buildImage({ dockerfile: join(checkout, dockerfile), context: checkout, tag: ownReference(name) }, say));
  }
  return { fixed, all: [...fixed, ...own] };
}

/** Starts what does not run, waits until all of it serves, and says what was started. */
async function start(state: ClusterState, say: (line: string) => void): Promise<string[]> {
  say('certificates and network');
  const { control, nodes, dns, storage, joined } = await prepareCluster(state.nodes);
  const [etcd, apiServer, ...controllers] = control.components;
  if (etcd === undefined || apiServer === undefined) throw new ClusterError('The control plane has no API server.');
  const started = joined.map(({ name }) => `the network of ${name}`);
  const ensure = async (component: Component): Promise<void> => {
    if (await startDaemon(component)) started.push(component.name);
  };
  say('etcd and the API server');
  await ensure(etcd);
  await ensure(apiServer);
  await Promise.all([
    waitUntilReady(control, async () => (await daemonFailure(etcd)) ?? (await daemonFailure(apiServer))),
    ...nodes.map(async ({ containerd, socket }) => {
      await ensure(containerd);
      await waitForContainerd(socket, async () => daemonFailure(containerd));
    }),
  ]);
  say('nodes');
  await Promise.all([...controllers, ...nodes.flatMap(({ kubelet, proxy }) => [kubelet, proxy]), dns, storage].map(ensure));
  await apply(control.kubeconfig, [...dnsObjects(), ...storageObjects()]);
  await Promise.all([waitForNodes(control.kubeconfig, state.nodes, nodes), waitForDns(async () => daemonFailure(dns))]);
  return started;
}

/** Makes certificates, network, directories and configuration where they are missing, and says what to run. */
async function prepareCluster(count: number): Promise<ClusterParts> {
  const addresses = nodeAddresses(count);
  const [control, joined] = await Promise.all([
    controlPlane({ directory: stateDirectory, address: hostAddress, etcdAddress, controllers: true, advertise: true }),
    ensureNetwork(addresses),
  ]);
  const { authority, url } = control;
  const nodes = await Promise.all(
    addresses.map(async (address) => {
      // The last node of several is the disaster-recovery site.
      const region = count > 1 && address.index === count ? 'dr' : 'main';
      return prepareNode({ address, region, authority, url });
    }),
  );
  const names = addresses.map(({ name }) => name);
  return { control, nodes, dns: await prepareDns(authority, url), storage: await prepareStorage(authority, url, names), joined };
}

/** Creates the objects or changes them to what is given. */
async function apply(kubeconfig: string, items: readonly object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  const args = ['--kubeconfig', kubeconfig, 'apply', '--server-side', '--force-conflicts', '--field-manager=bundled-cluster', '-f', '-'];
  await run(await binary('kubectl'), args, { input: list });
}

/** Waits until every node takes pods and the default service account exists, without which none is admitted. */
async function waitForNodes(kubeconfig: string, count: number, nodes: readonly NodeParts[]): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  const kubectl = await binary('kubectl');
  const condition = '{range .items[*]}{.kind} {.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}{"\\n"}{end}';
  for (;;) {
    const output = await run(kubectl, [
      '--kubeconfig',
      kubeconfig,
      'get',
      'nodes,serviceaccounts',
      '--namespace=default',
      '-o',
      `jsonpath=${condition}`,
    ]);
    const lines = output.split('\n');
    const ready = lines.filter((line) => line.startsWith('Node True') && !line.includes('node.kubernetes.io/not-ready')).length;
    if (ready >= count && lines.some((line) => line.startsWith('ServiceAccount'))) return;
    for (const component of nodes.flatMap(({ containerd, kubelet, proxy }) => [containerd, kubelet, proxy])) {
      if ((await daemonProcess(component)) === undefined)
        throw new ClusterError((await daemonFailure(component)) ?? `${component.name} has ended.`);
    }
    if (performance.now() > deadline) {
      throw new ClusterError(
        `Only ${String(ready)} of ${String(count)} nodes are ready after ${String(readyTimeoutMs / 1000)} s. See \`npm run cluster -- logs kubelet-node1\`.`,
      );
    }
    await delay(pollMs);
  }
}
