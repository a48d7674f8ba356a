// Holds sidecar/SPEC.md and the tests together, in both directions: a test that it names exists, each invariant has one, and a test whose title
// carries an invariant (I5) is named under it. A test is named as `unit/file.test.ts`: _title_, the path from test/ on; titles of `describe` count too.
// Each failure has a test, and faults of the simulator that there are or a few words why it has none.
// It does not judge whether a test shows what its title says.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { simFaults } from './lib/sim-faults.ts';
import { faultKinds } from './simulation/swarm.ts';

const invariantForm = /\bI\d+\b/g;
const namedForm = /`([\w./-]+\.test\.ts)`: _(.+?)_(?=\s|$|[.,;])/g;
const unnamedForm = /`([\w./-]+\.test\.ts)`(?!: _)/g;
const declaring = new Set(['test', 'describe', 'step', 'scenario']);

const invariantsIn = (text: string): Set<string> => new Set(text.match(invariantForm));

/** Literal titles in the order of the source; those of `.each` as they are written. */
export function titlesOf(source: string): string[] {
  const titles: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const [title] = node.arguments;
      if (title !== undefined && ts.isStringLiteralLike(title) && declaring.has(calledName(node.expression))) titles.push(title.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('a.test.ts', source, ts.ScriptTarget.Latest));
  return titles;
}

function calledName(called: ts.Expression): string {
  if (ts.isCallExpression(called) || ts.isPropertyAccessExpression(called)) return calledName(called.expression);
  return ts.isIdentifier(called) ? called.text : '';
}

interface Section {
  /** `null` outside the sections of the invariants. */
  readonly invariant: string | null;
  readonly text: string;
}
/** Cut at the headings; `### I5 Nothing vanishes` begins the section of I5. */
const sectionsOf = (spec: string): Section[] =>
  spec.split(/^(?=#)/m).map((text) => ({ invariant: /^### (I\d+)\b/.exec(text)?.[1] ?? null, text }));

/** What is wrong, a sentence each; `tests` are the titles of each file. */
export function specProblems(spec: string, tests: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = [];
  const named = new Set<string>();
  for (const [, file = ''] of spec.matchAll(unnamedForm)) problems.push(`${file} is named without a test`);
  for (const { invariant, text } of sectionsOf(spec)) {
    for (const [, file = '', title = ''] of text.matchAll(namedForm)) {
      if (tests.get(file)?.includes(title) !== true) problems.push(`${file} has no test "${title}"`);
      if (invariant === null) continue;
      named.add(`${invariant} ${file} ${title}`);
      if (!invariantsIn(title).has(invariant)) problems.push(`"${title}" in ${file} is named under ${invariant} and does not carry it`);
    }
  }
  for (const invariant of invariantsIn(spec))
    if (![...named].some((each) => each.startsWith(`${invariant} `))) problems.push(`${invariant} has no test`);
  for (const [file, titles] of tests)
    for (const title of titles)
      for (const invariant of invariantsIn(title))
        if (!named.has(`${invariant} ${file} ${title}`)) problems.push(`"${title}" in ${file} is not named under ${invariant}`);
  return problems;
}

const faultNameForm = /`(\w+)`/g;
const isBlank = (cell: string): boolean => /^-*$/.test(cell);

/** What is wrong with the table of failures, a sentence each: what happens, what must be seen, faults, tests. */
export function failureProblems(spec: string, faults: readonly string[]): string[] {
  const [, section = ''] = /^## Failures$([^]*?)(?=^#|(?![^]))/m.exec(spec) ?? [];
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  const problems: string[] = rows.length > 2 ? [] : ['there is no table of failures'];
  for (const row of rows.slice(2)) {
    const [, failure = '', , fault = '', test = ''] = row.split('|').map((cell) => cell.trim());
    if (isBlank(fault)) problems.push(`"${failure}" names no fault of the simulator`);
    if (isBlank(test)) problems.push(`"${failure}" names no test`);
    for (const [, name = ''] of fault.matchAll(faultNameForm))
      if (!faults.includes(name)) problems.push(`"${failure}" names the fault ${name}, which the simulator does not have`);
  }
  return problems;
}

async function run(): Promise<number> {
  const names = await readdir('test', { recursive: true });
  const files = names.filter((name) => name.endsWith('.test.ts')).sort();
  const tests = await Promise.all(files.map(async (file) => [file, titlesOf(await readFile(join('test', file), 'utf8'))] as const));
  const spec = await readFile('sidecar/SPEC.md', 'utf8');
  const problems = [...specProblems(spec, new Map(tests)), ...failureProblems(spec, [...faultKinds, ...simFaults])];
  for (const problem of problems) console.log(`sidecar/SPEC.md: ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await run();
