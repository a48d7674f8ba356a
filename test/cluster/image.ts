// Container images without a registry: OCI layouts in the cache, each keyed by what determines it, so that unchanged sources build nothing. The base image is a Debian made by
// debootstrap with this Node.js and npm, under the name `node:24-slim` of the official one; small images hold one program of
// build.ts; the repository's own are built by buildah from a Dockerfile. Nothing here talks to a cluster (image-store.ts does).

import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { binary, binaryPath } from './build.ts';
import type { ProgramName } from './build.ts';
import { withBuildSecrets } from './build-secrets.ts';
import { cacheDirectory, exists, inScratch, makeEntry } from './cache.ts';
import { attempt, ClusterError, run } from './command.ts';
import { debianSource } from './debian.ts';

/** An image on disk: a directory in the OCI layout with layers that are not compressed, or a file as `docker save` writes it. */
export interface Archive {
  /** The full reference, for example `docker.io/library/node:24-slim`. */
  readonly reference: string;
  readonly path: string;
  /** Two archives with the same key hold the same image. */
  readonly key: string;
}

export const baseReference = 'docker.io/library/node:24-slim';
export const pauseReference = 'docker.io/controlcluster/pause:1';
export const natsReference = 'docker.io/library/nats:2.15.2';

const nodeMajor = '24';
const npmVersion = '11.21.2';
/** Parts of a Debian that a container does not need. */
const ballast = ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/locale', 'usr/share/doc', 'usr/share/man'] as const;
const recipeVersion = 2;

/** buildah keeps its images beside the archives, apart from those of other programs on the machine. */
const storage = [
  '--root',
  join(cacheDirectory(), 'buildah'),
  '--runroot',
  '/run/controlcluster-buildah',
  '--storage-driver',
  'overlay',
] as const;
const isolation = { BUILDAH_ISOLATION: 'chroot' } as const;

/** The base image; makes it when the cache has none (about a minute, and needs the Debian and npm registries). */
export async function baseArchive(say: (line: string) => void = () => undefined): Promise<Archive> {
  if (process.versions.node.split('.')[0] !== nodeMajor) {
    throw new ClusterError(
      `The base image takes the Node.js ${nodeMajor} of this repository. Run the command through npm: \`npm run cluster -- up\`.`,
    );
  }
  const source = await debianSource();
  const archive = named('node', baseReference, JSON.stringify([recipeVersion, source, process.version, npmVersion, process.arch]));
  const known = await run('buildah', [
    ...storage,
    'images',
    '--quiet',
    '--no-trunc',
    '--filter',
    `label=controlcluster.key=${archive.key}`,
  ]).catch(() => '');
  if ((await exists(archive.path)) && known.trim() !== '') return archive;
  await inScratch('node', async (directory) => {
    const system = join(directory, 'system');
    say(`debootstrap ${source.suite} from ${source.mirror}`);
    await run('debootstrap', ['--variant=minbase', source.suite, system, source.mirror], { onLine: say });
    for (const path of ballast) await empty(join(system, path));
    await copyFile(process.execPath, join(system, 'usr/local/bin/node'));
    await run('npm', ['install', '--global', '--prefix', join(system, 'usr/local'), `npm@${npmVersion}`], { onLine: say });
    await run('chroot', [system, 'useradd', '--create-home', '--uid', '1000', '--shell', '/bin/bash', 'node']);
    const instructions = [
      'FROM scratch',
      'ADD system /',
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'CMD ["node"]',
    ];
    await fromInstructions(instructions, directory, archive, say);
  });
  return archive;
}

/** An image that holds one program of build.ts, as `/<name>`, and nothing else. */
export async function programArchive(name: ProgramName, reference: string): Promise<Archive> {
  const archive = named(name, reference, JSON.stringify([recipeVersion, basename(dirname(await binaryPath(name))), reference]));
  if (await exists(archive.path)) return archive;
  const program = await binary(name);
  await inScratch(name, async (directory) => {
    await copyFile(program, join(directory, name));
    await fromInstructions(['FROM scratch', `COPY ${name} /${name}`, 'ENV PATH=/', `ENTRYPOINT ["/${name}"]`], directory, archive);
  });
  return archive;
}

export interface BuildRequest {
  /** Absolute paths. */
  readonly dockerfile: string;
  readonly context: string;
  /** Full reference, with the registry. */
  readonly tag: string;
  readonly arguments?: Readonly<Record<string, string>>;
}

/**
 * Builds the image on the bundled base image, unless nothing that it is made of has changed. An installation of npm packages inside finds the
 * machine's private authority as the secret `ca`, and its npm configuration as the secret `npmrc`.
 */
export async function buildImage(request: BuildRequest, say: (line: string) => void = () => undefined): Promise<Archive> {
  const base = await baseArchive(say);
  const name = basename(request.dockerfile).toLowerCase();
  const archive = named(name, request.tag, JSON.stringify([recipeVersion, base.key, request.arguments ?? {}, await contextHash(request)]));
  if (await exists(archive.path)) return archive;
  const args = Object.entries(request.arguments ?? {}).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  // The time of all layers is fixed, so that the same content is the same image.
  const build = [...storage, 'build', '--layers', '--timestamp', '0', '--pull=false', '--file', request.dockerfile, '--tag', request.tag];
  await withBuildSecrets(async (secrets) =>
    run('buildah', [...build, ...args, ...secrets, request.context], { env: isolation, onLine: say }),
  );
  await push(archive);
  return archive;
}

/** The image of that name that buildah has built for this cluster; `reference` may also be the path of a file. Undefined when there is neither. */
export async function findArchive(reference: string): Promise<Archive | undefined> {
  if (await exists(reference)) return { reference, path: reference, key: `${reference} ${String((await stat(reference)).mtimeMs)}` };
  const { code, stdout } = await attempt('buildah', [...storage, 'inspect', '--type', 'image', '--format', '{{.FromImageID}}', reference]);
  if (code !== 0) return undefined;
  const archive = named(basename(reference).replace(/[^a-z0-9.-]/g, '-'), reference, stdout.trim());
  if (!(await exists(archive.path))) await push(archive);
  return archive;
}

async function fromInstructions(lines: readonly string[], context: string, archive: Archive, say?: (line: string) => void): Promise<void> {
  const dockerfile = join(context, 'Dockerfile');
  await writeFile(dockerfile, `${lines.join('\n')}\n`);
  const labels = ['--label', `controlcluster.key=${archive.key}`];
  const args = [...storage, 'build', '--timestamp', '0', ...labels, '--file', dockerfile, '--tag', archive.reference, context];
  await run('buildah', args, { env: isolation, ...(say === undefined ? {} : { onLine: say }) });
  await push(archive);
}

/** Writes the archive, and drops older ones of the same image. */
async function push(archive: Archive): Promise<void> {
  await makeEntry(archive.path, async (partial) => {
    await run('buildah', [...storage, 'push', '--disable-compression', archive.reference, `oci:${partial}:image`]);
    const file = join(partial, 'index.json');
    const index = z.looseObject({ manifests: z.tuple([z.looseObject({})]) }).parse(JSON.parse(await readFile(file, 'utf8')));
    // containerd takes the name of an image from this annotation.
    const manifest = { ...index.manifests[0], annotations: { 'io.containerd.image.name': archive.reference } };
    await writeFile(file, JSON.stringify({ ...index, manifests: [manifest] }));
  });
  const directory = dirname(archive.path);
  const old = (await readdir(directory)).filter((name) => name !== basename(archive.path) && !name.includes('.partial-'));
  for (const name of old) await rm(join(directory, name), { recursive: true, force: true });
}

/** Hash of the Dockerfile and of what it copies from the context, each in one line of plain words. */
async function contextHash({ dockerfile, context }: BuildRequest): Promise<string> {
  const instructions = await readFile(dockerfile, 'utf8');
  const hash = createHash('sha256').update(instructions);
  const copied = instructions.matchAll(/^(?:COPY|ADD) +(?!--from)(.*)$/gm);
  const sources = [...copied].flatMap(([, words = '']) => words.split(/ +/).slice(0, -1)).filter((word) => !word.startsWith('--'));
  for (const source of new Set(['.dockerignore', ...sources])) await hashTree(hash, context, source);
  return hash.digest('hex');
}

async function hashTree(hash: Hash, context: string, source: string): Promise<void> {
  const path = join(context, source);
  const entry = await stat(path).catch(() => undefined);
  if (entry === undefined) return;
  hash.update(`${source} ${String(entry.mode)}\n`);
  if (!entry.isDirectory()) {
    hash.update(await readFile(path));
    return;
  }
  for (const name of (await readdir(path)).sort()) await hashTree(hash, context, join(source, name));
}

function named(name: string, reference: string, inputs: string): Archive {
  const key = createHash('sha256').update(reference).update(inputs).digest('hex').slice(0, 16);
  return { reference, key, path: join(cacheDirectory(), 'images', name, key) };
}

async function empty(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) await rm(join(directory, entry), { recursive: true });
}
