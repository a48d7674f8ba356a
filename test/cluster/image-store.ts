// What a containerd keeps on disk for a list of images, made once and then linked into the directory of each node, so that N nodes cost one
// import and one copy on disk. Blobs and unpacked layers are never written again by containerd, so that hard links are safe; its databases
// are copied. Also imports a single archive into running nodes.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cacheDirectory, exists, makeEntry } from './cache.ts';
import { attempt, ClusterError, run } from './command.ts';
import type { Archive } from './image.ts';
import { removeTree } from './mounts.ts';

const databases = ['io.containerd.metadata.v1.bolt/meta.db', 'io.containerd.snapshotter.v1.overlayfs/metadata.db'] as const;
/** How long a containerd may take to answer, in milliseconds. */
const answerTimeoutMs = 60_000;
const pollMs = 50;

/** The directory of a store that holds these images. Starts from the longest beginning of the list for which a store exists. */
export async function imageStore(archives: readonly Archive[]): Promise<string> {
  const path = storePath(archives);
  if (await exists(path)) return path;
  let begin = archives.length - 1;
  while (begin > 0 && !(await exists(storePath(archives.slice(0, begin))))) begin -= 1;
  const basis = storePath(archives.slice(0, begin));
  await makeEntry(path, async (partial) => {
    if (begin > 0) await copyStore(basis, partial);
    await withContainerd(partial, async (address) => {
      for (const archive of archives.slice(begin)) await importArchive(address, archive);
    });
  });
  // The one in use and the one it has grown from are enough.
  await prune([path, basis]);
  return path;
}

/** Makes a store of its own out of another, within a second: files are linked where the file system allows, databases copied. */
export async function copyStore(from: string, to: string): Promise<void> {
  const linked = await attempt('cp', ['-al', from, to]);
  if (linked.code !== 0) {
    await rm(to, { recursive: true, force: true });
    await run('cp', ['-a', from, to]);
  }
  for (const database of databases) {
    await rm(join(to, database));
    await cp(join(from, database), join(to, database));
  }
}

/** Imports the archive into a running containerd; of an OCI layout only the layers that it lacks are read. */
export async function importArchive(address: string, archive: Archive): Promise<void> {
  const ctr = ['--address', address, '--namespace', 'k8s.io'];
  if ((await stat(archive.path)).isFile()) {
    await run('ctr', [...ctr, 'images', 'import', archive.path]);
    return;
  }
  const present = new Set((await run('ctr', [...ctr, 'content', 'list', '--quiet'])).split('\n'));
  const blobs = (await readdir(join(archive.path, 'blobs', 'sha256'))).filter((digest) => !present.has(`sha256:${digest}`));
  await withScratchFile(async (file) => {
    await run('tar', [
      '--create',
      '--file',
      file,
      '--directory',
      archive.path,
      'oci-layout',
      'index.json',
      ...blobs.map((digest) => `blobs/sha256/${digest}`),
    ]);
    await run('ctr', [...ctr, 'images', 'import', file]);
  });
}

/** Waits until the containerd answers. Throws ClusterError when it does not, or `failure` says that it has ended. */
export async function waitForContainerd(address: string, failure: () => Promise<string | undefined>): Promise<void> {
  const deadline = performance.now() + answerTimeoutMs;
  while ((await attempt('ctr', ['--address', address, 'version'])).code !== 0) {
    const reason = await failure();
    if (reason !== undefined) throw new ClusterError(reason);
    if (performance.now() > deadline) throw new ClusterError(`containerd does not answer at ${address}.`);
    await delay(pollMs);
  }
}

async function withScratchFile(work: (file: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'controlcluster-'));
  try {
    await work(join(directory, 'image.tar'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Runs a containerd of its own on the directory while the work lasts. */
async function withContainerd(root: string, work: (address: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'controlcluster-'));
  const address = join(directory, 'containerd.sock');
  const config = join(directory, 'config.toml');
  await writeFile(config, containerdConfig({ root, state: join(directory, 'state'), address }));
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'containerd', '--config', config], { stdio: 'ignore' });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      resolve(`containerd cannot be started: ${error.message}`);
    });
    child.once('exit', () => {
      resolve('containerd has ended while images were imported.');
    });
  });
  const failure = async () => (child.exitCode === null && child.signalCode === null ? undefined : ended);
  try {
    await waitForContainerd(address, failure);
    await work(address);
  } finally {
    child.kill('SIGTERM');
    await ended;
    await rm(directory, { recursive: true, force: true });
  }
}

/** The part of containerd's configuration that all uses share. Plugins that are not used, and would touch other directories, are off. */
export function containerdConfig(paths: { root: string; state: string; address: string }): string {
  const unused = ['aufs', 'btrfs', 'devmapper', 'native', 'zfs'].map((name) => `"io.containerd.snapshotter.v1.${name}"`);
  return [
    'version = 2',
    `root = ${JSON.stringify(paths.root)}`,
    `state = ${JSON.stringify(paths.state)}`,
    `disabled_plugins = [${[...unused, '"io.containerd.internal.v1.opt"'].join(', ')}]`,
    '[grpc]',
    `  address = ${JSON.stringify(paths.address)}`,
    '',
  ].join('\n');
}

function storePath(archives: readonly Archive[]): string {
  const hash = createHash('sha256').update(JSON.stringify(archives.map(({ reference, key }) => [reference, key])));
  return join(cacheDirectory(), 'image-stores', hash.digest('hex').slice(0, 16));
}

async function prune(keep: readonly string[]): Promise<void> {
  const directory = join(cacheDirectory(), 'image-stores');
  for (const name of await readdir(directory))
    if (!keep.includes(join(directory, name)) && !name.includes('.partial-')) await removeTree(join(directory, name));
}
