// Container images without a registry: archives in the cache, each keyed by what determines it. The base image is a Debian made by
// debootstrap with this Node.js and npm, under the name `node:24-slim` of the official one; small images hold one program of
// build.ts; the repository's own are built by buildah from a Dockerfile. Nothing here talks to a cluster (image-store.ts does).

import { createHash } from 'node:crypto';
import { copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { binary, binaryPath } from './build.ts';
import type { ProgramName } from './build.ts';
import { cacheDirectory, exists, inScratch, makeEntry } from './cache.ts';
import { attempt, ClusterError, run } from './command.ts';
import { debianSource } from './debian.ts';

/** An image as one file, in the format of `docker save`. */
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
const recipeVersion = 1;

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
 * Builds the image on the bundled base image. Unchanged layers come from buildah's cache, and an unchanged image keeps its archive. An installation
 * of npm packages inside finds the machine's private authority as the secret `ca`, and its npm configuration as the secret `npmrc`.
 */
export async function buildImage(request: BuildRequest, say: (line: string) => void = () => undefined): Promise<Archive> {
  await baseArchive(say);
  const args = Object.entries(request.arguments ?? {}).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  await run(
    'buildah',
    [
      ...storage,
      // The time of all layers is fixed, so that the same content is the same image.
      ...['build', '--layers', '--timestamp', '0', '--pull=false', '--file', request.dockerfile, '--tag', request.tag],
      ...[...args, ...(await secrets()), request.context],
    ],
    { env: isolation, onLine: say },
  );
  const id = await imageId(request.tag);
  if (id === undefined) throw new ClusterError(`buildah has built ${request.tag} but does not know it.`);
  return save(request.tag, id);
}

/** The archive of an image that buildah has, its own or the machine's; undefined when neither has it. `reference` may also be the path of an archive. */
export async function findArchive(reference: string): Promise<Archive | undefined> {
  if (await exists(reference)) return { reference, path: reference, key: `file:${reference}` };
  const id = await imageId(reference);
  if (id !== undefined) return save(reference, id);
  return undefined;
}

async function save(reference: string, id: string): Promise<Archive> {
  const archive = named(basename(reference).replace(/[^a-z0-9.-]/g, '-'), reference, id);
  if (await exists(archive.path)) return archive;
  await push(archive);
  return archive;
}

async function imageId(reference: string): Promise<string | undefined> {
  const result = await attempt('buildah', [...storage, 'inspect', '--type', 'image', '--format', '{{.FromImageID}}', reference]);
  return result.code === 0 && result.stdout.trim() !== '' ? result.stdout.trim() : undefined;
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
    await run('buildah', [
      ...storage,
      'push',
      '--disable-compression',
      archive.reference,
      `docker-archive:${partial}:${archive.reference}`,
    ]);
  });
  const directory = dirname(archive.path);
  for (const name of await readdir(directory))
    if (name.endsWith('.tar') && name !== basename(archive.path)) await rm(join(directory, name));
}

async function secrets(): Promise<string[]> {
  const files = { ca: process.env['NODE_EXTRA_CA_CERTS'] ?? '', npmrc: process.env['NPM_CONFIG_USERCONFIG'] ?? join(homedir(), '.npmrc') };
  const found: string[] = [];
  for (const [id, file] of Object.entries(files)) if (file !== '' && (await exists(file))) found.push('--secret', `id=${id},src=${file}`);
  return found;
}

function named(name: string, reference: string, inputs: string): Archive {
  const key = createHash('sha256').update(reference).update(inputs).digest('hex').slice(0, 16);
  return { reference, key, path: join(cacheDirectory(), 'images', name, `${key}.tar`) };
}

async function empty(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) await rm(join(directory, entry), { recursive: true });
}
