// Every planted bug still has its place in the programs, and a handful of them are looked for as `npm run simulate -- --mutants` looks for all.
// What that finds stands in README.md.
import { expect, test } from '@jest/globals';
import { runCommand } from '../../command.ts';
import { mutants } from './catalogue.ts';
import { editsOf, planted } from './mutant.ts';
import { runWithBug } from './targeted.ts';

test.each(mutants)('$name: its text stands in $file once', (mutant) => {
  for (const edit of editsOf(mutant)) expect(planted(edit)).toContain(edit.replace);
});

test('have names of their own', () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  expect(() => planted({ file: 'sidecar/runtime.ts', find: 'no such text', replace: '' })).toThrow('0 times');
});

const hunt = (...how: readonly string[]) =>
  runCommand(process.execPath, ['test/simulation/main.ts', '--mutants', ...how], { output: 'keep' });

test.each([
  'acknowledges before the sync',
  'trusts the Lease as a fence',
  'skips the claim',
  'forgets idempotency keys of what is applied',
])('the random search finds soon: %s', async (name) => {
  const { exitCode, output } = await hunt('--only', name, '--seeds', '400', '--jobs', '1');
  expect(output).toContain('the random search found 1');
  expect(exitCode).toBe(0);
});

test('every test that is aimed at a bug sees it', async () => {
  const { exitCode, output } = await hunt('--targeted');
  expect({ exitCode, output: exitCode === 0 ? '' : output }).toEqual({ exitCode: 0, output: '' });
});

test.each([
  ['passes with the bug', 'gives it when its promise is on the disk, and not before (I2)', '1 passed, 0 failed'],
  ['is not there', 'gives', '0 passed, 0 failed'],
])('a test that %s does not see it', async (_, title, how) => {
  expect(await runWithBug('votes twice in one epoch', { file: 'unit/vote.test.ts', title })).toContain(how);
});
