// The programs of the machine that the bundled Kubernetes needs and does not build itself. On Debian and Ubuntu, as root, missing ones are
// installed through apt; elsewhere the error says exactly what is missing, all of it at once. What is there is never replaced or upgraded.

import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { buildObstacle } from './build.ts';
import { ClusterError, run } from './command.ts';
import { Progress } from './progress.ts';

/** Where distributions put the container network plugins. */
const pluginDirectories = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'] as const;
const plugins = ['bridge', 'host-local', 'loopback', 'portmap'] as const;

/** Programs, and the package of Debian and Ubuntu each comes from. */
const packages = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  buildah: 'buildah',
  debootstrap: 'debootstrap',
  iptables: 'iptables',
  openssl: 'openssl',
  ip: 'iproute2',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  umount: 'mount',
  sysctl: 'procps',
  tar: 'tar',
} as const satisfies Record<string, string>;

const pluginPackage = 'containernetworking-plugins';
const needsRoot = 'The bundled Kubernetes makes network namespaces and mounts, and needs root: run it with sudo.';

export const isRoot = (): boolean => process.getuid?.() === 0;

/** Throws ClusterError when this process may not make or remove a cluster. */
export function requireRoot(): void {
  if (!isRoot()) throw new ClusterError(needsRoot);
}

/** Makes sure that all of it is there. Throws ClusterError that names everything that is missing and how to get it, before it installs anything. */
export async function ensurePrerequisites(): Promise<void> {
  if (process.platform !== 'linux')
    throw new ClusterError('The bundled Kubernetes runs on Linux only. Elsewhere use kind or minikube, and --context.');
  const missing = await missingPrograms();
  const names = [...new Set(missing.values())];
  const obstacles = [isRoot() ? undefined : needsRoot, await buildObstacle(), await installObstacle([...missing.keys()], names)];
  const told = obstacles.filter((obstacle) => obstacle !== undefined);
  if (told.length > 0) throw new ClusterError(told.join('\n'));
  if (missing.size === 0) return;
  await new Progress(1).step(`installing ${names.join(', ')}`, async (say) => {
    const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, onLine: say };
    await run('apt-get', ['update'], options);
    await run('apt-get', ['install', '--yes', '--no-install-recommends', ...names], options);
  });
  const still = await missingPrograms();
  if (still.size > 0) throw new ClusterError(`Still missing after apt-get install ${names.join(' ')}: ${[...still.keys()].join(', ')}.`);
}

/** The directory of the container network plugins; undefined when there is none that has them all. */
export async function pluginDirectory(): Promise<string | undefined> {
  for (const directory of pluginDirectories) {
    const present = await readdir(directory).catch((): string[] => []);
    if (plugins.every((plugin) => present.includes(plugin))) return directory;
  }
  return undefined;
}

async function installObstacle(programs: readonly string[], names: readonly string[]): Promise<string | undefined> {
  if (programs.length === 0 || (await isProgram('apt-get'))) return undefined;
  return `Missing on this machine: ${programs.join(', ')}. On Debian they come from the packages ${names.join(', ')}; install the like here.`;
}

async function missingPrograms(): Promise<Map<string, string>> {
  const missing = new Map<string, string>();
  for (const [program, name] of Object.entries(packages)) if (!(await isProgram(program))) missing.set(program, name);
  if ((await pluginDirectory()) === undefined) missing.set(`network plugins (${plugins.join(', ')})`, pluginPackage);
  return missing;
}

async function isProgram(name: string): Promise<boolean> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await access(join(directory, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
