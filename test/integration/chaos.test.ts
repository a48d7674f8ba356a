// The chaos, as much of it as eight minutes hold: real sidecars, NATS servers and API server, hurt in every way that a test without pods can hurt them.
// `npm run chaos -- --rounds N --seed S` runs more, and a failed run again.
import { expect, test } from '@jest/globals';
import { runChaos } from './chaos/chaos-run.ts';

const rounds = 200;
const budgetMs = 8 * 60_000;
/** To start, and to judge at the end. */
const besideMs = 4 * 60_000;

test(
  'under kills, stops, cuts and lost disks nothing acknowledged is lost or doubled, and the history is linearizable (I1, I2, I8, I9)',
  async () => {
    const seed = Date.now();
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(line);
    const outcome = await runChaos({ seed, rounds, only: '', budgetMs, artifacts: `artifacts/chaos-${String(seed)}`, say });
    const figures = `${String(outcome.rounds)} of ${String(rounds)} rounds, ${String(outcome.changes)} changes`;
    process.stdout.write(`chaos, seed ${String(seed)}: ${figures}\n${lines.join('\n')}\n`);
    expect(outcome.problems).toEqual([]);
    expect(outcome.changes).toBeGreaterThan(outcome.rounds);
  },
  budgetMs + besideMs,
);
