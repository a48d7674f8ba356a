// What an installation of npm packages inside an image build needs of this machine: its private certificate authority and its npm
// configuration, handed over as secrets, so that the image keeps neither.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { exists } from './cache.ts';

/** Runs the work with the options that hand the secrets to a build, the same for buildah and Docker. */
export async function withBuildSecrets<T>(work: (options: readonly string[]) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'controlcluster-'));
  try {
    const npmrc = join(directory, 'npmrc');
    await writeFile(npmrc, await npmConfiguration(), { mode: 0o600 });
    const ca = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
    return await work(['--secret', `id=npmrc,src=${npmrc}`, ...((await exists(ca)) ? ['--secret', `id=ca,src=${ca}`] : [])]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The user's file; of the environment, which npm prefers to it, the registry. */
async function npmConfiguration(): Promise<string> {
  const setting = (name: string) => process.env[`npm_config_${name}`] ?? process.env[`NPM_CONFIG_${name.toUpperCase()}`];
  const file = await readFile(setting('userconfig') ?? join(homedir(), '.npmrc'), 'utf8').catch(() => '');
  const registry = setting('registry');
  return registry === undefined ? file : `${file}\nregistry=${registry}\n`;
}
