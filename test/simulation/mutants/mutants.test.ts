// Every planted bug still has its place in the programs. Whether the simulator finds them: `npm run simulate -- --mutants`.
import { expect, test } from '@jest/globals';
import { mutants } from './catalogue.ts';
import { planted } from './mutant.ts';

test.each(mutants)('$name: its text stands in $file once', (mutant) => {
  for (const edit of [mutant, mutant.also ?? mutant]) expect(planted(edit)).toContain(edit.replace);
});

test('have names of their own', () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  expect(() => planted({ file: 'sidecar/runtime.ts', find: 'no such text', replace: '' })).toThrow('0 times');
});
