// All planted bugs, by the part of the protocol that they are in.
import { compactingMutants } from './compacting.ts';
import { countingMutants } from './counting.ts';
import { configuringMutants } from './configuring.ts';
import { keepingMutants } from './keeping.ts';
import type { Mutant } from './mutant.ts';
import { startingMutants } from './starting.ts';
import { streamingMutants } from './streaming.ts';

export const mutants: readonly Mutant[] = [
  ...countingMutants,
  ...keepingMutants,
  ...configuringMutants,
  ...compactingMutants,
  ...startingMutants,
  ...streamingMutants,
];

/** Throws when there is none. */
export function mutantNamed(name: string): Mutant {
  const mutant = mutants.find((each) => each.name === name);
  if (mutant === undefined) throw new Error(`there is no mutant "${name}"`);
  return mutant;
}
