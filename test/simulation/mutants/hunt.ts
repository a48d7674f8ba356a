// Looks for each planted bug, by the random search and by the test that is aimed at it, and prints a table of what found it.
// The two are counted apart. A bug that nothing finds is a failure.
import { runCrew } from '../crew.ts';
import type { SwarmChanges } from '../swarm.ts';
import { mutants } from './catalogue.ts';
import type { Mutant } from './mutant.ts';
import { runWithBug } from './targeted.ts';

export interface Hunt {
  /** Part of the names of those that are looked for. */
  readonly only: string;
  /** Of the random search, for each bug; none: only the tests are run. */
  readonly seeds: number;
  readonly from: number;
  readonly jobs: number;
  readonly changes: SwarmChanges;
  readonly limitMs: number;
  readonly say: (line: string) => void;
}

interface Find {
  /** How many seeds it took, and the invariant that broke. */
  readonly random: { readonly seeds: number; readonly broke: string } | null;
  /** By the test that is aimed at it: `none` when there is no such test, `missed` when it passes all the same. */
  readonly test: 'seen' | 'missed' | 'none';
}

async function search({ name, where }: Mutant, { seeds, from, jobs, changes, limitMs }: Hunt): Promise<Find['random']> {
  if (seeds === 0) return null;
  const order = { from, seeds, jobs, mutant: name, changes: { ...where, ...changes }, limitMs, onProgress: () => undefined };
  const [first] = (await runCrew(order)).failures;
  return first === undefined ? null : { seeds: first.seed - from + 1, broke: first.violation.invariant };
}

async function look(mutant: Mutant, hunt: Hunt): Promise<Find> {
  const random = await search(mutant, hunt);
  if (mutant.targeted === undefined) return { random, test: 'none' };
  const passed = await runWithBug(mutant.name, mutant.targeted);
  if (passed !== null) hunt.say(`${mutant.name}: "${mutant.targeted.title}" does not see it: ${passed}`);
  return { random, test: passed === null ? 'seen' : 'missed' };
}

function row({ name, where, targeted, because }: Mutant, { random, test }: Find): string {
  const [seeds, broke] = random === null ? ['-', '-'] : [`${String(random.seeds)}${where === undefined ? '' : ' (where)'}`, random.broke];
  const seenBy = test === 'seen' && targeted !== undefined ? `\`${targeted.file}\`: ${targeted.title}` : '-';
  const found = kindOf({ random, test }) === 'missed' ? '**not found**' : seenBy;
  return `| ${name} | ${seeds} | ${broke} | ${found}${because === undefined ? '' : `. Stays: ${because}`} |`;
}

function kindOf({ random, test }: Find): 'random' | 'test' | 'missed' {
  if (test === 'missed') return 'missed';
  if (random !== null) return 'random';
  return test === 'seen' ? 'test' : 'missed';
}

/** The exit code: 1 when a bug was not found, or a test that is aimed at one did not see it. */
export async function runHunt(hunt: Hunt): Promise<number> {
  const count = { random: 0, test: 0, missed: 0 };
  hunt.say('| planted bug | seeds | broke | targeted test |\n| --- | --- | --- | --- |');
  const wanted = mutants.filter(({ name, targeted }) => name.includes(hunt.only) && (hunt.seeds > 0 || targeted !== undefined));
  // The search has threads of its own.
  const together = hunt.seeds === 0 ? hunt.jobs : 1;
  for (let at = 0; at < wanted.length; at += together) {
    const finds = wanted.slice(at, at + together).map(async (mutant) => ({ mutant, find: await look(mutant, hunt) }));
    for (const { mutant, find } of await Promise.all(finds)) {
      count[kindOf(find)] += 1;
      hunt.say(row(mutant, find));
    }
  }
  const { random, test, missed } = count;
  hunt.say(
    `\n${String(wanted.length)} planted bugs: the random search found ${String(random)}, a targeted test ${String(test)} more; ${String(missed)} not found`,
  );
  return missed === 0 ? 0 : 1;
}
