// The check that holds SPEC.md and the tests together finds each way in which they can part.
import { describe, expect, test } from '@jest/globals';
import { failureProblems, specProblems, titlesOf } from '../spec-check.ts';

const spec = `# Spec
Words that mention I1.

### I1 One order
- \`unit/a.test.ts\`: _keeps one order (I1)_
- \`unit/b.test.ts\`: _loses and doubles nothing (I1, I2)_

### I2 Kept
- \`unit/b.test.ts\`: _loses and doubles nothing (I1, I2)_

## Failures
| what | test |
| ---- | ---- |
| all  | \`unit/a.test.ts\`: _goes on_ |
`;
const tests = new Map([
  ['unit/a.test.ts', ['keeps one order (I1)', 'goes on']],
  ['unit/b.test.ts', ['loses and doubles nothing (I1, I2)']],
]);
const withTest = (title: string): Map<string, string[]> => new Map([...tests, ['unit/c.test.ts', [title]]]);

describe('a specification and its tests', () => {
  test('that agree are no problem', () => {
    expect(specProblems(spec, tests)).toEqual([]);
  });

  test.each<[string, string, Map<string, string[]>, string]>([
    [
      'a file that is not there',
      spec.replace('unit/a.test.ts`: _goes', 'unit/x.test.ts`: _goes'),
      tests,
      'unit/x.test.ts has no test "goes on"',
    ],
    ['a title that is not there', spec.replace('_goes on_', '_goes off_'), tests, 'unit/a.test.ts has no test "goes off"'],
    ['a file without a title', `${spec}\n\`unit/a.test.ts\` says more.\n`, tests, 'unit/a.test.ts is named without a test'],
    ['an invariant without a test', `${spec}\n### I3 Fenced\n`, tests, 'I3 has no test'],
    ['an invariant that is only spoken of', spec.replace('mention I1', 'mention I7'), tests, 'I7 has no test'],
    ['a test that is not listed', spec, withTest('is fenced (I2)'), '"is fenced (I2)" in unit/c.test.ts is not named under I2'],
    [
      'a test that begins with its invariant',
      spec,
      withTest('I10: is bounded'),
      '"I10: is bounded" in unit/c.test.ts is not named under I10',
    ],
    [
      'a test of two that is listed under one',
      spec.replace('- `unit/b.test.ts`: _loses and doubles nothing (I1, I2)_\n\n###', '\n###'),
      tests,
      '"loses and doubles nothing (I1, I2)" in unit/b.test.ts is not named under I1',
    ],
    [
      'a listed test without the invariant',
      spec.replace('### I2 Kept', '### I2 Kept\n- `unit/a.test.ts`: _goes on_'),
      tests,
      '"goes on" in unit/a.test.ts is named under I2 and does not carry it',
    ],
  ])('are told apart by %s', (_, text, titles, problem) => {
    expect(specProblems(text, titles)).toEqual([problem]);
  });
});

describe('the table of failures', () => {
  const table = (fault: string, named: string): string => `# Spec

## Failures

| what | seen | fault | test |
| ---- | ---- | ----- | ---- |
| it dies | it is back | ${fault} | ${named} |

## More

| other |
| ----- |
| -     |
`;
  const named = '`unit/a.test.ts`: _goes on_';

  test.each([
    ['faults that there are', '`kill`, `stop`'],
    ['a few words why there is none', 'none: no disk does this'],
  ])('may give %s', (_, fault) => {
    expect(failureProblems(table(fault, named), ['kill', 'stop'])).toEqual([]);
  });

  test.each([
    ['-', named, '"it dies" names no fault of the simulator'],
    ['', named, '"it dies" names no fault of the simulator'],
    ['`kill`', '-', '"it dies" names no test'],
    ['`kill`', '', '"it dies" names no test'],
    ['`kill`, `killed`', named, '"it dies" names the fault killed, which the simulator does not have'],
  ])('is incomplete with "%s" and "%s"', (fault, test, problem) => {
    expect(failureProblems(table(fault, test), ['kill', 'stop'])).toEqual([problem]);
  });

  test('is missed', () => {
    expect(failureProblems('# Spec', ['kill'])).toEqual(['there is no table of failures']);
  });
});

test('titles are found in every way in which a test is declared, and nowhere else', () => {
  const source = `
    // test('in a comment', f);
    describe.each([['a row', 1]])('a %s', () => {
      test('one', () => { expect(read('no title')).toBe('none'); });
      test.each([1, 2])("it's %d", async () => undefined);
    });
    test(\`without substitution\`, f);
    scenario('a scenario', (cluster, step) => { step('a step', f); });
    const text = "test('in a text', f)";
  `;
  expect(titlesOf(source)).toEqual(['a %s', 'one', "it's %d", 'without substitution', 'a scenario', 'a step']);
});
