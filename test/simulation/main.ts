// `npm run simulate`: runs seeds and says what broke; shows one seed as a timeline, or a shorter run that fails alike; looks for planted bugs.
// The exit code is 1 when an invariant broke, or when a planted bug was not found.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Failure } from './batch.ts';
import { runCrew, type Total } from './crew.ts';
import { runHunt } from './mutants/hunt.ts';
import { shrink } from './shrink.ts';
import { simulate, type RunResult } from './simulation.ts';
import type { SwarmChanges } from './swarm.ts';
import { shortTimeline } from './timeline.ts';
import { isRare, unlisted, unreached } from './transitions.ts';

const usage = `npm run simulate -- --seeds N [--from S] [--minutes M] [--jobs J] [--counts]
npm run simulate -- --seed X [--trace] [--shrink] [--changes JSON]
npm run simulate -- --mutants [--only TEXT] [--seeds N] [--from S] [--targeted]`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    jobs: { type: 'string' },
    counts: { type: 'boolean', default: false },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    changes: { type: 'string', default: '{}' },
    mutants: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    targeted: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const defaultSeeds = 1000;
const mutantSeeds = 20_000;
const progressMs = 5000;
/** `--minutes` may make it less. */
const shrinkMs = 120_000;
const changes = JSON.parse(values.changes) as SwarmChanges;
const jobs = Number(values.jobs ?? availableParallelism());
const from = Number(values.from);
const limitMs = values.minutes === undefined ? Infinity : Number(values.minutes) * 60_000;

async function runOne(seed: number): Promise<number> {
  const failed = await simulate(seed, changes, values.trace && !values.shrink ? console.log : null);
  if (!values.shrink || failed.violation === null) {
    const { violation, steps, simulatedMs, traceHash, swarm } = failed;
    console.log(JSON.stringify({ seed, steps, simulatedMs: Math.round(simulatedMs), traceHash, swarm, violation }));
    return violation === null ? 0 : 1;
  }
  const { changes: simpler, result } = await shrink(failed, changes, Math.min(limitMs, shrinkMs));
  const lines: string[] = [];
  await simulate(seed, simpler, (line) => lines.push(line));
  for (const line of values.trace ? lines : shortTimeline(lines)) console.log(line);
  const sizeOf = ({ steps, injections }: RunResult): string => `${String(steps)} steps and ${String(injections.length)} faults`;
  console.log(`${sizeOf(failed)} became ${sizeOf(result)}; again:`);
  console.log(`npm run simulate -- --seed ${String(seed)} --changes '${JSON.stringify(simpler)}'`);
  return 1;
}

const ratesOf = ({ seeds, steps }: Total, seconds: number): string =>
  `${(seeds / seconds).toFixed(0)} seeds and ${String(Math.round(steps / seconds / 1000) * 1000)} steps`;

const brokenLine = ({ seed, violation: { invariant, atMs, message } }: Failure): string =>
  `seed ${String(seed)}: ${invariant} after ${(atMs / 1000).toFixed(1)} s: ${message}`;

/** What breaks is said at once, how far it is now and then. */
function progress(sinceMs: number): (total: Total) => void {
  let shownMs = sinceMs;
  let shownBroken = 0;
  return (total) => {
    for (const failure of total.failures.slice(shownBroken)) console.log(brokenLine(failure));
    shownBroken = total.failures.length;
    if (performance.now() - shownMs < progressMs) return;
    shownMs = performance.now();
    const seconds = (shownMs - sinceMs) / 1000;
    console.log(`${String(total.seeds)} seeds, ${ratesOf(total, seconds)} a second, ${String(total.failures.length)} broken`);
  };
}

async function runMany(): Promise<number> {
  const sinceMs = performance.now();
  const seeds = Number(values.seeds ?? defaultSeeds);
  const total = await runCrew({ from, seeds, jobs, mutant: null, changes, limitMs, onProgress: progress(sinceMs) });
  const seconds = (performance.now() - sinceMs) / 1000;
  const cpuSeconds = process.cpuUsage().user / 1e6;
  if (values.counts) {
    for (const [what, times] of [...total.counts].sort()) console.log(`${what.padEnd(70)} ${String(times)}`);
    for (const name of unreached(total.counts)) console.log(`${isRare(name) ? 'rare, and not reached' : 'not reached'}   ${name}`);
    for (const name of unlisted(total.counts)) console.log(`not listed    ${name}`);
  }
  for (const failure of total.failures) console.log(brokenLine(failure));
  const rates = `${ratesOf(total, seconds)} a second, ${ratesOf(total, cpuSeconds)} a second of one core`;
  const size = `${(total.steps / total.seeds).toFixed(0)} steps and ${(total.simulatedMs / total.seeds / 1000).toFixed(1)} s each`;
  console.log(`${String(total.seeds)} seeds from ${String(from)} on (${rates}; ${size}): ${String(total.failures.length)} broken`);
  return total.failures.length === 0 ? 0 : 1;
}

function runMutants(): Promise<number> {
  const seeds = values.targeted ? 0 : Number(values.seeds ?? mutantSeeds);
  return runHunt({ only: values.only, seeds, from, jobs, changes, limitMs, say: console.log });
}

if (values.help) console.log(usage);
else
  process.exitCode = values.seed !== undefined ? await runOne(Number(values.seed)) : values.mutants ? await runMutants() : await runMany();
