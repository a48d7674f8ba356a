// Takes the bundled cluster down and says what is left of it. Works after a crash of any part, on a cluster that never came up, and when there
// is none; touches only what bears the cluster's names or is under its state directory. Order: processes, mounts, control groups, network,
// then files, and no file is removed while something is still mounted below.

import { mkdir, readdir, readFile, readlink, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { allProcesses, groups, killAll, removeGroups } from './cgroup.ts';
import { run } from './command.ts';
import { mountsBelow, removeTree, unmountBelow } from './mounts.ts';
import { networkLeftovers, removeNetwork } from './network.ts';
import { logDirectory, readState, stateDirectory } from './state.ts';

/** What the kubelet changes in the kernel, and `down` puts back. */
const kernelSettings = [
  ...[
    'vm/overcommit_memory',
    'vm/panic_on_oom',
    'kernel/panic',
    'kernel/panic_on_oops',
    'kernel/keys/root_maxkeys',
    'kernel/keys/root_maxbytes',
  ],
] as const;

/** Directories that programs fill at fixed places, with the names that are the cluster's. */
const networkResults = '/var/lib/cni/results';
const containerLogs = '/var/log/containers';
const kubeletDirectory = '/var/lib/kubelet';
const shimSockets = '/run/containerd/s';

/** Directories at fixed places that come into being with a cluster, and that others may use as well. */
const sharedDirectories = [
  ...[networkResults, '/var/lib/cni', containerLogs, shimSockets, '/run/containerd'],
  ...[join(kubeletDirectory, 'device-plugins'), kubeletDirectory],
] as const;

/** Removes the cluster. `keepLogs` is a directory that gets its logs and audit log first. Throws ClusterError when something cannot be removed. */
export async function tearDown(keepLogs?: string): Promise<void> {
  const state = await readState();
  if (keepLogs !== undefined) await saveLogs(keepLogs);
  await killAll();
  await removeShimSockets();
  await unmountBelow(stateDirectory);
  await removeGroups();
  await removeNetwork();
  if (state !== undefined) await restoreKernelSettings(state.kernel);
  await removeLinks(containerLogs, (target) => target.startsWith(stateDirectory));
  await removeNetworkResults();
  await removeKubeletSocket();
  await removeTree(stateDirectory);
  // Directories that others use as well go only when nothing is in them.
  for (const path of sharedDirectories) await rmdir(path).catch(() => undefined);
}

/** What of the cluster exists on this machine, one line each; empty after a `down`. */
export async function leftovers(): Promise<string[]> {
  const lines: string[] = [];
  for (const pid of new Set([...(await allProcesses()), ...(await processesNaming(stateDirectory))])) lines.push(`process ${String(pid)}`);
  for (const path of await mountsBelow(stateDirectory)) lines.push(`mount ${path}`);
  for (const path of await groups()) lines.push(`control group ${path}`);
  for (const name of await networkLeftovers()) lines.push(`network ${name}`);
  if ((await entries(stateDirectory)).length > 0) lines.push(`directory ${stateDirectory}`);
  return lines;
}

/** The kernel settings that the kubelets are going to change, as they are. */
export async function readKernelSettings(): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const name of kernelSettings) {
    const value = await readFile(`/proc/sys/${name}`, 'utf8').catch(() => undefined);
    if (value !== undefined) values[name] = value.trim();
  }
  return values;
}

/** Copies the logs of the components, the audit log among them. */
async function saveLogs(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  if ((await entries(logDirectory)).length > 0) await run('cp', ['-a', `${logDirectory}/.`, directory]);
}

async function restoreKernelSettings(values: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(values)) await writeFile(`/proc/sys/${name}`, value);
}

/** The sockets of containerd's shims have names that only the shims' directories tell. */
async function removeShimSockets(): Promise<void> {
  for (const node of await entries(join(stateDirectory, 'nodes'))) {
    const tasks = join(stateDirectory, 'nodes', node, 'containerd-state', 'io.containerd.runtime.v2.task', 'k8s.io');
    for (const task of await entries(tasks)) {
      const address = (await readFile(join(tasks, task, 'address'), 'utf8').catch(() => '')).replace('unix://', '');
      if (address.startsWith(`${shimSockets}/`)) await rm(address, { force: true });
    }
  }
}

/** The plugins keep what they did for each pod, with the path of its network namespace. */
async function removeNetworkResults(): Promise<void> {
  for (const name of await entries(networkResults)) {
    const path = join(networkResults, name);
    if ((await readFile(path, 'utf8').catch(() => '')).includes(stateDirectory)) await rm(path, { force: true });
  }
}

/** One directory of the kubelet cannot be moved. Where there is nothing else beside it, no other kubelet has ever run. */
async function removeKubeletSocket(): Promise<void> {
  const names = await entries(kubeletDirectory);
  if (names.length === 1 && names[0] === 'device-plugins')
    await rm(join(kubeletDirectory, 'device-plugins', 'kubelet.sock'), { force: true });
}

async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await entries('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [program = ''] = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const directory = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (program.includes(text) || directory.startsWith(text)) found.push(Number(pid));
  }
  return found;
}

async function removeLinks(directory: string, isOurs: (target: string) => boolean): Promise<void> {
  for (const name of await entries(directory)) {
    const target = await readlink(join(directory, name)).catch(() => '');
    if (isOurs(target)) await rm(join(directory, name));
  }
}

async function entries(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
