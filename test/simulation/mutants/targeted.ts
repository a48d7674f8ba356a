// Runs the test that a planted bug is aimed at, with the bug planted.
// It says that the bug is seen only when exactly that one test ran and failed: a test that is not there, or a file that cannot be loaded, is not it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { runCommand } from '../../command.ts';
import type { TargetedTest } from './mutant.ts';

const reportSchema = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numRuntimeErrorTestSuites: z.int(),
  testResults: z.array(z.object({ assertionResults: z.array(z.object({ status: z.string(), failureMessages: z.array(z.string()) })) })),
});

export interface Verdict {
  readonly seen: boolean;
  /** What the test says that is wrong, in a line; else how it ran. */
  readonly detail: string;
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

export async function runWithBug(name: string, { file, title }: TargetedTest): Promise<Verdict> {
  const directory = mkdtempSync(join(tmpdir(), 'mutant-'));
  const report = join(directory, 'report.json');
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const which = ['--selectProjects', file.split('/', 1)[0] ?? '', '--runTestsByPath', `test/${file}`];
  const how = ['--testNamePattern', `(^| )${escaped(title)}$`, '--runInBand', '--json', '--outputFile', report];
  try {
    const { output } = await runCommand(process.execPath, [...jest, ...which, ...how], { output: 'keep', env: { PLANTED_BUG: name } });
    return judge(report, output);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function judge(report: string, output: string): Verdict {
  let parsed;
  try {
    parsed = reportSchema.parse(JSON.parse(readFileSync(report, 'utf8')));
  } catch {
    return { seen: false, detail: `Jest gave no report: ${output.slice(-200)}` };
  }
  const failures = parsed.testResults.flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'failed'));
  const ran = `${String(parsed.numPassedTests)} passed, ${String(parsed.numFailedTests)} failed`;
  const [failure] = failures;
  if (failure === undefined || parsed.numFailedTests !== 1 || parsed.numPassedTests + parsed.numRuntimeErrorTestSuites > 0)
    return { seen: false, detail: ran };
  return { seen: true, detail: failure.failureMessages[0]?.split('\n', 1)[0]?.replaceAll(/\u001b\[\d+m/g, '') ?? '' };
}
