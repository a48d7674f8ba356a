// `npm run demo -- down` against programs that answer, refuse or stay silent: it ends in time, and says what is gone and what to do.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { attemptWithin, limitExitCode } from '../demo/bounded.ts';
import { removeFrom, removeKind } from '../demo/down.ts';
import type { Target } from '../demo/target.ts';
import { actingProgram, actingTarget, askedOf } from '../lib/acting-program.ts';

const limits = { answerMs: 1_000, goneMs: 1_000, clusterGoneMs: 1_000 };
const silence = 'exec sleep 600';

let directory = '';
let said: string[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'demo-down-'));
  said = [];
  jest.spyOn(console, 'log').mockImplementation((text: string) => said.push(text));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await rm(directory, { recursive: true });
});

const acting = async (cases?: Readonly<Record<string, string>>): Promise<string> => actingProgram(directory, cases);
const target = async (cases?: Readonly<Record<string, string>>): Promise<Target> => actingTarget(await acting(cases));
const asked = async (): Promise<string[]> => askedOf(join(directory, 'program'));
const failure = async (work: Promise<unknown>): Promise<string> => work.then(String, (error: unknown) => (error as Error).message);

describe('a program with a limit', () => {
  test('is killed at it, though a child of its own still holds its output', async () => {
    const answer = await attemptWithin(300, 'sh', ['-c', 'echo begun; sleep 5 & wait']);
    expect(answer).toMatchObject({ code: limitExitCode, stdout: 'begun\n' });
    expect(answer.stderr).toContain('had not ended after 0.3 s');
  });

  test('otherwise ends with its own exit code and words', async () => {
    expect(await attemptWithin(60_000, 'sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('gets no answer to what it asks the user', async () => {
    expect((await attemptWithin(60_000, 'sh', ['-c', 'read password'])).code).toBe(1);
  });

  test('is told apart from one that is not there', async () => {
    await expect(attemptWithin(60_000, join(directory, 'none'), [])).rejects.toThrow('cannot be run');
  });
});

describe('down from a cluster', () => {
  test('removes each thing once, and says so', async () => {
    await removeFrom(await target({ '"get crd"*': 'echo definition' }), limits);
    expect(said).toEqual([
      'Gone: the ControlCluster trading',
      'Gone: the volumes of trading',
      'Gone: the Helm release controlcluster',
      'Gone: the volumes of controlcluster',
      'Gone: the definition controlclusters.controlcluster.io',
      'Gone: the namespace controlcluster-system, if the demo made it',
    ]);
    expect((await asked()).filter((line) => line.startsWith('delete ') || line.startsWith('uninstall '))).toHaveLength(6);
  });

  test('where it is removed already, names no object of a kind that is not defined', async () => {
    await removeFrom(await target(), limits);
    expect((await asked()).filter((line) => /--filename|delete .* crd/.test(line))).toEqual([]);
    expect(said).toHaveLength(6);
  });

  test('keeps the definition of other ControlClusters', async () => {
    await removeFrom(await target({ '"get crd"*': 'echo definition', '"get controlclusters"*': 'echo controlcluster/other' }), limits);
    expect(said).toContain('There are other ControlClusters, so their definition stays:\ncontrolcluster/other');
    expect((await asked()).filter((line) => /delete .* crd/.test(line))).toEqual([]);
  });

  test('leaves a release alone that the demo did not make', async () => {
    const message = await failure(removeFrom(await target({ '"get namespaces"*': 'echo namespace/controlcluster-system' }), limits));
    expect(message).toContain('not made by the demo');
    expect(message).not.toContain('Not known to be gone');
    expect((await asked()).filter((line) => /^(delete|uninstall) /.test(line))).toEqual([]);
  });

  test.each([
    ['refuses', 'echo "connection refused" >&2; exit 1', 'connection refused'],
    ['is silent', silence, 'had not ended after 1 s'],
  ])('that %s removes nothing, and says so', async (_, does, words) => {
    const message = await failure(removeFrom(await target({ '"version "*': does }), limits));
    expect(message).toContain('The cluster does not answer');
    expect(message).toContain(words);
    expect(message.match(/^ {2}the /gm)).toHaveLength(6);
    expect(message).toContain('`DOWN` goes on');
    expect(await asked()).toHaveLength(1);
  });

  test('that stops answering is told as such: no answer about the definition is no sign that there is none', async () => {
    const message = await failure(removeFrom(await target({ '"get crd"*': silence }), limits));
    expect(message).toContain('had not ended after 1 s');
    expect(said).toEqual([]);
    expect((await asked()).filter((line) => line.startsWith('delete '))).toEqual([]);
  });

  test('that stops half-way names what is not gone', async () => {
    const message = await failure(removeFrom(await target({ '"uninstall "*': silence }), limits));
    expect(said).toEqual(['Gone: the ControlCluster trading', 'Gone: the volumes of trading']);
    expect(message).toContain('Not known to be gone:\n  the Helm release controlcluster\n');
    expect(message).not.toContain('volumes of trading');
  });
});

describe('down of the kind cluster', () => {
  const kind = { '"get clusters"': 'echo other; echo controlcluster' };

  test('deletes its own', async () => {
    expect(await removeKind(limits, await acting(kind))).toBe(true);
    expect(await asked()).toEqual(['get clusters', 'delete cluster --name controlcluster']);
  });

  test.each([
    ['kind is not installed', async () => join(directory, 'none')],
    ['it is removed already', async () => acting({ '"get clusters"': 'echo other' })],
  ])('has nothing to do when %s', async (_, program) => {
    expect(await removeKind(limits, await program())).toBe(false);
    expect(said).toEqual([]);
  });

  test('passes on that Docker does not run', async () => {
    expect(await removeKind(limits, await acting({ '"get clusters"': 'echo "no daemon" >&2; exit 1' }))).toBe(false);
    expect(said.join()).toMatch(/may be left.*\nno daemon/);
  });

  test.each([
    ['tell its clusters', { '"get clusters"': silence }, 'If there is one of the demo, it stays'],
    ['delete', { ...kind, '"delete "*': silence }, 'delete cluster --name controlcluster'],
  ])('ends in time when kind does not %s', async (_, cases, words) => {
    const message = await failure(removeKind(limits, await acting(cases)));
    expect(message).toContain('had not ended after 1 s');
    expect(message).toContain(words);
    expect(message).toContain('`npm run demo -- down` removes it');
  });
});
