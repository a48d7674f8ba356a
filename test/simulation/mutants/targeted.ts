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
});

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** `null` when the test failed, as it should; otherwise how it ran. */
export async function runWithBug(name: string, { file, title }: TargetedTest): Promise<string | null> {
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

function judge(report: string, output: string): string | null {
  try {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = reportSchema.parse(JSON.parse(readFileSync(report, 'utf8')));
    if (numPassedTests === 0 && numFailedTests === 1 && numRuntimeErrorTestSuites === 0) return null;
    return `${String(numPassedTests)} passed, ${String(numFailedTests)} failed, ${String(numRuntimeErrorTestSuites)} files could not run`;
  } catch {
    return `Jest gave no report: ${output.slice(-200)}`;
  }
}
