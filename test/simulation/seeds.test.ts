// The runs of `npm test`: new seeds each day, and every seed that ever failed. More with `npm run simulate`.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { runCommand } from '../command.ts';
import { simulate } from './simulation.ts';
import type { SwarmChanges } from './swarm.ts';

const newSeeds = 20_000;
const dayMs = 86_400_000;
const seedsOfADay = 1_000_000;

const failedSchema = z.array(z.object({ seed: z.int(), changes: z.custom<SwarmChanges>().optional(), was: z.string() }));
const failed = failedSchema.parse(JSON.parse(readFileSync(new URL('seeds.json', import.meta.url), 'utf8')));

describe('no invariant breaks', () => {
  test.each(failed)('in seed $seed, which failed once: $was', async ({ seed, changes }) => {
    expect((await simulate(seed, changes)).violation).toBeNull();
  });

  test(`in ${String(newSeeds)} new seeds, and together they show every change of states that is listed and not rare, and no other`, async () => {
    const from = Math.floor(Date.now() / dayMs) * seedsOfADay;
    const args = ['test/simulation/main.ts', '--seeds', String(newSeeds), '--from', String(from), '--counts'];
    const { exitCode, output } = await runCommand(process.execPath, args, { output: 'keep' });
    // The last line says which seeds, and how fast.
    process.stdout.write(`${output.trimEnd().split('\n').at(-1) ?? ''}\n`);
    expect({ exitCode, output: exitCode === 0 ? '' : output }).toEqual({ exitCode: 0, output: '' });
    expect(output.split('\n').filter((line) => line.startsWith('not '))).toEqual([]);
  });
});
