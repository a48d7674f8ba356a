// The control groups of the bundled cluster: one subtree, `/controlcluster`, that holds every process of it. What the kernel says about
// membership is the only register of processes: it survives every crash and never names a process of somebody else, as a
// file with process ids would. Works on cgroup v1 (every hierarchy, the machine's mounts left as they are) and v2.

import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterError } from './command.ts';

const root = 'controlcluster';
/** How long processes and groups may take to go away, in milliseconds. */
const goneTimeoutMs = 30_000;
const gonePollMs = 50;

interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

/** The control group of a node's pods, as its kubelet names it. */
export function nodeGroup(node: string): string {
  return `/${root}/${node}`;
}

/** Makes the control group of a node in every hierarchy. */
export async function createNodeGroup(node: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    for (const group of [root, join(root, node)]) {
      const path = join(hierarchy.path, group);
      await mkdir(path, { recursive: true });
      if (hierarchy.controllers.includes('cpuset') && hierarchy.version === 1) await inheritCpuset(path);
    }
    if (hierarchy.version === 2) await delegate(hierarchy);
  }
}

/** Makes the control group of a daemon, in the hierarchy that keeps the register. Returns its directory. */
export async function createDaemonGroup(name: string): Promise<string> {
  const path = await daemonGroup(name);
  await mkdir(path, { recursive: true });
  return path;
}

/** The processes of a daemon, those it has started included. */
export async function daemonProcesses(name: string): Promise<number[]> {
  return processesOf(await daemonGroup(name));
}

/** Every process of the cluster. */
export async function allProcesses(): Promise<number[]> {
  const found = new Set<number>();
  for (const hierarchy of await hierarchies()) for (const pid of await processesBelow(join(hierarchy.path, root))) found.add(pid);
  return [...found];
}

/** Kills every process of the cluster. Throws ClusterError when one does not go. */
export async function killAll(): Promise<void> {
  const deadline = performance.now() + goneTimeoutMs;
  for (let pids = await allProcesses(); pids.length > 0; pids = await allProcesses()) {
    if (performance.now() > deadline) throw new ClusterError(`These processes do not end, even when killed: ${pids.join(', ')}.`);
    for (const pid of pids) kill(pid);
    await delay(gonePollMs);
  }
}

/** Removes every control group of the cluster, which must hold no process. */
export async function removeGroups(): Promise<void> {
  const deadline = performance.now() + goneTimeoutMs;
  for (const path of await groups()) {
    for (;;) {
      try {
        await removeTree(path);
        break;
      } catch (error) {
        // The kernel lets go of a group a little after its last process has ended.
        if (performance.now() > deadline) throw new ClusterError(`The control group ${path} cannot be removed.`, error);
        await delay(gonePollMs);
      }
    }
  }
}

/** The directories of the cluster's control groups that exist, one for each hierarchy. */
export async function groups(): Promise<string[]> {
  const found: string[] = [];
  for (const hierarchy of await hierarchies()) {
    const present = await readdir(hierarchy.path);
    if (present.includes(root)) found.push(join(hierarchy.path, root));
  }
  return found;
}

async function hierarchies(): Promise<Hierarchy[]> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const first: Hierarchy[] = [];
  const second: Hierarchy[] = [];
  for (const [, path = '', type, options = ''] of mounts) {
    if (type === 'cgroup' && !first.some((known) => known.path === path)) first.push({ path, version: 1, controllers: options.split(',') });
    if (type === 'cgroup2') second.push({ path, version: 2, controllers: [] });
  }
  // Where both are mounted, the second has no controllers and the container runtime uses the first.
  const found = first.length > 0 ? first : second.slice(0, 1);
  if (found.length === 0) throw new ClusterError('No control groups are mounted under /sys/fs/cgroup; containers cannot run here.');
  return found;
}

async function daemonGroup(name: string): Promise<string> {
  const all = await hierarchies();
  const register = all.find(({ controllers }) => controllers.includes('pids')) ?? all[0];
  if (register === undefined) throw new ClusterError('No control groups are mounted.');
  return join(register.path, root, 'daemons', name);
}

/** A new group of the cpuset hierarchy has no processors and takes no process until it is given some. */
async function inheritCpuset(path: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    await writeFile(join(path, file), await readFile(join(path, '..', file), 'utf8'));
  }
}

/** On cgroup v2 a group has the controllers that its parents hand down. */
async function delegate(hierarchy: Hierarchy): Promise<void> {
  const controllers = (await readFile(join(hierarchy.path, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const wanted = ['cpu', 'cpuset', 'hugetlb', 'io', 'memory', 'pids'].filter((name) => controllers.includes(name));
  for (const path of [hierarchy.path, join(hierarchy.path, root)]) {
    await writeFile(join(path, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
  }
}

async function processesBelow(path: string): Promise<number[]> {
  const found = await processesOf(path);
  for (const child of await children(path)) found.push(...(await processesBelow(child)));
  return found;
}

/** A group that is gone has no processes. Those that have ended and only wait to be reaped do not count. */
async function processesOf(path: string): Promise<number[]> {
  const text = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '');
  const alive: number[] = [];
  for (const pid of text.split('\n').filter(Boolean)) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
    if (state !== '' && state !== 'Z' && state !== 'X') alive.push(Number(pid));
  }
  return alive;
}

async function removeTree(path: string): Promise<void> {
  for (const child of await children(path)) await removeTree(child);
  await rmdir(path);
}

async function children(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile; the next look at the group says so.
  }
}
