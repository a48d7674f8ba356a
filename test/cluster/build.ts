// Builds the programs of the bundled Kubernetes from Go modules and keeps them in the cache (cache.ts), keyed by what determines
// them (go.mod, go.sum, sources, flags, platform): a clean clone on the same machine builds nothing. It never uses a program found on
// the machine.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, exists, makeEntry } from './cache.ts';
import { attempt, ClusterError, run } from './command.ts';
import { Progress } from './progress.ts';

const kubernetesVersion = 'v1.37.2';

const goVersion = { major: 1, minor: 26 } as const;
const modules = join(import.meta.dirname, 'modules');
const baseFlags = ['-trimpath', '-buildvcs=false'] as const;
const kubernetesLinking = `-X k8s.io/component-base/version.gitVersion=${kubernetesVersion}`;

interface Program {
  readonly module: string;
  readonly package: string;
  readonly linking?: string;
}

/** In the order in which a cold build makes them: small ones first, so that a broken set-up shows early. */
const programs = {
  pause: { module: 'pause', package: '.' },
  'nats-server': { module: 'nats', package: 'github.com/nats-io/nats-server/v2' },
  etcd: { module: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
  'kube-apiserver': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-apiserver', linking: kubernetesLinking },
  'kube-controller-manager': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-controller-manager', linking: kubernetesLinking },
  'kube-scheduler': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-scheduler', linking: kubernetesLinking },
  kubelet: { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubelet', linking: kubernetesLinking },
  'kube-proxy': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-proxy', linking: kubernetesLinking },
  kubectl: { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubectl', linking: kubernetesLinking },
  coredns: { module: 'coredns', package: '.' },
  helm: { module: 'helm', package: 'helm.sh/helm/v4/cmd/helm' },
  'local-path-provisioner': { module: 'provisioner', package: 'github.com/rancher/local-path-provisioner' },
} as const satisfies Record<string, Program>;

export type ProgramName = keyof typeof programs;

const programNames = Object.keys(programs) as readonly ProgramName[];

/** Path of the program; builds it when the cache has none. Throws ClusterError when Go is missing, too old, or the build fails. */
export async function binary(name: ProgramName): Promise<string> {
  const path = await binaryPath(name);
  if (await exists(path)) return path;
  await checkGo();
  const progress = new Progress(1);
  await progress.step(`building ${name}`, async (say) => build(name, path, say));
  return path;
}

/** Builds whatever of the programs is missing, with progress on the standard error. Returns the paths. */
export async function buildAll(names: readonly ProgramName[] = programNames): Promise<ReadonlyMap<ProgramName, string>> {
  const missing = await lacking(names);
  if (missing.length > 0) {
    await checkGo();
    const progress = new Progress(missing.length);
    for (const [name, path] of missing) await progress.step(`building ${name}`, async (say) => build(name, path, say));
  }
  const paths = new Map<ProgramName, string>();
  for (const name of names) paths.set(name, await binaryPath(name));
  return paths;
}

/** Why the programs that the cache lacks cannot be built, and what to do; undefined when they can, or it lacks none. */
export async function buildObstacle(): Promise<string | undefined> {
  return (await lacking(programNames)).length > 0 ? goObstacle() : undefined;
}

/** The programs that are not in the cache, and where they will be. */
async function lacking(names: readonly ProgramName[]): Promise<[ProgramName, string][]> {
  const missing: [ProgramName, string][] = [];
  for (const name of names) {
    const path = await binaryPath(name);
    if (!(await exists(path))) missing.push([name, path]);
  }
  return missing;
}

/** Where the program is, or would be, in the cache. */
export async function binaryPath(name: ProgramName): Promise<string> {
  const program: Program = programs[name];
  const directory = join(modules, program.module);
  const hash = createHash('sha256').update(
    JSON.stringify([process.platform, process.arch, baseFlags, program.package, program.linking ?? '']),
  );
  for (const file of (await readdir(directory)).sort()) hash.update(file).update(await readFile(join(directory, file)));
  return join(cacheDirectory(), 'bin', `${name}-${hash.digest('hex').slice(0, 12)}`, name);
}

async function build(name: ProgramName, path: string, say: (line: string) => void): Promise<void> {
  const program: Program = programs[name];
  await makeEntry(path, async (partial) => {
    await run('go', ['build', '-v', ...baseFlags, '-ldflags', `-s -w ${program.linking ?? ''}`.trim(), '-o', partial, program.package], {
      cwd: join(modules, program.module),
      // Static programs: one of them runs in an image that holds nothing else, and no C compiler is needed.
      env: { CGO_ENABLED: '0', GOFLAGS: '' },
      onLine: say,
    });
  });
}

async function checkGo(): Promise<void> {
  const obstacle = await goObstacle();
  if (obstacle !== undefined) throw new ClusterError(obstacle);
}

async function goObstacle(): Promise<string | undefined> {
  const wanted = `Go ${String(goVersion.major)}.${String(goVersion.minor)} or later`;
  const remedy = `Install ${wanted} (https://go.dev/doc/install) and put its bin directory on the PATH.`;
  const found = await attempt('go', ['env', 'GOVERSION']).catch(() => undefined);
  if (found === undefined) return `The bundled Kubernetes is built from source and needs ${wanted}; there is no \`go\` here. ${remedy}`;
  const match = /^go(\d+)\.(\d+)/.exec(found.stdout.trim());
  const [major, minor] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (major > goVersion.major || (major === goVersion.major && minor >= goVersion.minor)) return undefined;
  return `The bundled Kubernetes needs ${wanted}; this is ${found.stdout.trim()}. ${remedy}`;
}
