// A run is a function of its seed: the same in this process, in another one, and another for another seed.
import { describe, expect, test } from '@jest/globals';
import { runCommand } from '../command.ts';
import { simulate } from './simulation.ts';

const seed = 20_251;

async function inAnotherProcess(): Promise<string> {
  const { output } = await runCommand(process.execPath, ['test/simulation/main.ts', '--seed', String(seed)], { output: 'keep' });
  return (JSON.parse(output) as { traceHash: string }).traceHash;
}

describe('a simulation', () => {
  test('is the same for the same seed, here and in another process, and whether its timeline is written or not', async () => {
    const { traceHash, steps } = await simulate(seed);
    expect(steps).toBeGreaterThan(100);
    const lines: string[] = [];
    expect((await simulate(seed, {}, (line) => lines.push(line))).traceHash).toBe(traceHash);
    expect(lines.length).toBeGreaterThan(10);
    expect(await inAnotherProcess()).toBe(traceHash);
  });

  test('is another for another seed', async () => {
    const hashes = [];
    for (const each of [1, 2, 3, 4, 5]) hashes.push((await simulate(each)).traceHash);
    expect(new Set(hashes).size).toBe(5);
  });
});
