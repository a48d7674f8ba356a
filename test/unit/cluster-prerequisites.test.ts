// What the bundled cluster needs of the machine: all that is missing is told at once, and nothing is installed before.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ensurePrerequisites } from '../cluster/prerequisites.ts';
import { actingProgram, askedOf } from '../lib/acting-program.ts';

let directory: string;
let before: NodeJS.ProcessEnv;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-machine-'));
  before = { ...process.env };
  Object.assign(process.env, { PATH: directory, XDG_CACHE_HOME: directory });
});

afterEach(async () => {
  jest.restoreAllMocks();
  Object.assign(process.env, before);
  await rm(directory, { recursive: true });
});

const complaint = async (): Promise<string> => ensurePrerequisites().then(String, (error: unknown) => (error as Error).message);

describe('what is missing', () => {
  test('is told in one message, to a user who is not root, on a machine without Go and without apt-get', async () => {
    jest.spyOn(process, 'getuid').mockReturnValue(1000);
    const message = await complaint();
    expect(message).toContain('needs root');
    expect(message).toContain('needs Go 1.26 or later; there is no `go` here');
    expect(message).toMatch(/Missing on this machine: containerd, .*buildah.*packages containerd, .*iproute2/);
  });

  test('is told before anything is installed', async () => {
    jest.spyOn(process, 'getuid').mockReturnValue(0);
    const apt = await actingProgram(directory, {}, 'apt-get');
    await actingProgram(directory, { '*': 'echo go1.19.8' }, 'go');
    expect(await complaint()).toMatch(/^The bundled Kubernetes needs Go 1\.26 or later; this is go1\.19\.8\. .*$/);
    await expect(askedOf(apt)).rejects.toThrow('ENOENT');
  });
});
