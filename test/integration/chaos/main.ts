// npm run chaos -- [--rounds N] [--minutes N] [--seed S] [--only TEXT,TEXT]: the chaos for as long as it is told to, beyond what `npm test` has time for.
// The exit code is 0 when nothing was wrong.
import { parseArgs } from 'node:util';
import { runChaos } from './chaos-run.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '1440' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: String(Date.now()) },
  },
});
const seed = Number(values.seed);
console.log(`seed ${String(seed)}`);
const { rounds, changes, problems } = await runChaos({
  seed,
  rounds: Number(values.rounds),
  only: values.only,
  budgetMs: Number(values.minutes) * 60_000,
  artifacts: `artifacts/chaos-${String(seed)}`,
  say: console.log,
});
console.log(`${String(rounds)} rounds, ${String(changes)} changes, ${problems.length === 0 ? 'nothing is wrong' : 'WRONG:'}`);
for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
