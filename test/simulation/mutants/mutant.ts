// A planted bug: one place in one file of the programs reads otherwise, in memory, for the thread that plants it. The simulator must find it.
// A text that does not stand in its file exactly once stops the run: the list would otherwise rot in silence.
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import type { SwarmChanges } from '../swarm.ts';

export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Edit {
  /** What the program does wrong. */
  readonly name: string;
  /** Rules that stand in for each other are taken away together; each in another file. */
  readonly also?: readonly Edit[];
  /** Where it is looked for, when that is not everywhere: a situation that a whole run would meet more rarely. */
  readonly where?: SwarmChanges;
  /** A test that passes, and fails with the bug: a targeted schedule, for what the random search does not find or finds late. */
  readonly targeted?: TargetedTest;
  /** Why the rule stays, when its test sees the rule itself and no invariant is known to break without it. */
  readonly because?: string;
}

export interface TargetedTest {
  /** Below `test/`. */
  readonly file: string;
  /** Of the test, without those of the blocks that it stands in. */
  readonly title: string;
}

const root = new URL('../../../', import.meta.url);

/** The source of the file with the bug in it. Throws when the text is not there exactly once. */
export function planted({ file, find, replace }: Edit): string {
  const source = readFileSync(new URL(file, root), 'utf8');
  const parts = source.split(find);
  const [before, after] = parts;
  if (before === undefined || after === undefined || parts.length !== 2)
    throw new Error(`${JSON.stringify(find)} stands in ${file} ${String(parts.length - 1)} times, not once`);
  return before + replace + after;
}

export const editsOf = (mutant: Mutant): readonly Edit[] => [mutant, ...(mutant.also ?? [])];

/** The sources with the bug, by the URL of their file. */
export function plantedSources(mutant: Mutant): ReadonlyMap<string, string> {
  return new Map(editsOf(mutant).map((edit) => [new URL(edit.file, root).href, planted(edit)]));
}

/** From now on this thread loads the file with the bug. It must not have been loaded before. */
export function plant(mutant: Mutant): void {
  const sources = plantedSources(mutant);
  registerHooks({
    load: (url, context, next) => {
      const loaded = next(url, context);
      const source = sources.get(url);
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}
