// What an image build learns of this machine: its certificate authority and its npm configuration, in files that are gone afterwards.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { withBuildSecrets } from '../cluster/build-secrets.ts';
import { exists } from '../cluster/cache.ts';

const names = ['NODE_EXTRA_CA_CERTS', 'npm_config_userconfig', 'NPM_CONFIG_USERCONFIG', 'npm_config_registry', 'NPM_CONFIG_REGISTRY'];
let directory: string;
let before: NodeJS.ProcessEnv;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-secrets-'));
  before = { ...process.env };
  for (const name of names) Reflect.deleteProperty(process.env, name);
});

afterEach(async () => {
  Object.assign(process.env, before);
  await rm(directory, { recursive: true });
});

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(directory, name), text);
  return join(directory, name);
}

/** The secrets of a build by their name, and where the file of the npm configuration was. */
async function secrets(): Promise<{ texts: Record<string, string>; npmrc: string }> {
  return withBuildSecrets(async (options) => {
    const paths = options.flatMap((option) => [...option.matchAll(/^id=(\w+),src=(.*)$/g)]);
    const texts: Record<string, string> = {};
    for (const [, id = '', path = ''] of paths) texts[id] = await readFile(path, 'utf8');
    return { texts, npmrc: paths[0]?.[2] ?? '' };
  });
}

describe('the secrets of an image build', () => {
  test('are the authority and the npm configuration of the user', async () => {
    process.env['NODE_EXTRA_CA_CERTS'] = await file('ca.pem', 'authority');
    process.env['npm_config_userconfig'] = await file('npmrc', 'proxy=http://proxy.example\n');
    const { texts, npmrc } = await secrets();
    expect(texts).toEqual({ npmrc: 'proxy=http://proxy.example\n', ca: 'authority' });
    expect(await exists(npmrc)).toBe(false);
  });

  test.each(['npm_config_registry', 'NPM_CONFIG_REGISTRY'])('hold the registry of %s, which goes before that of the file', async (name) => {
    process.env['NPM_CONFIG_USERCONFIG'] = await file('npmrc', 'registry=http://of-the-file.example');
    process.env[name] = 'http://of-the-environment.example';
    const { texts } = await secrets();
    expect(texts).toEqual({ npmrc: 'registry=http://of-the-file.example\nregistry=http://of-the-environment.example\n' });
  });

  test('are an empty configuration where there is none', async () => {
    process.env['NPM_CONFIG_USERCONFIG'] = join(directory, 'none');
    expect((await secrets()).texts).toEqual({ npmrc: '' });
  });
});
