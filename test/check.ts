// `npm run check`: types, lint, format, layers, unused code, the tests that SPEC.md names. Runs what is below, two at a time, and shows only what is wrong.
// Tests nothing and changes nothing; `npm run format` repairs the format.
import { availableParallelism } from 'node:os';
import { runCommand } from './command.ts';

interface Check {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

/** The longest first. */
const checks: readonly Check[] = [
  { name: 'lint', program: 'eslint', args: ['.', '--max-warnings', '0'] },
  { name: 'types', program: 'tsc', args: ['--project', '.', '--pretty'] },
  { name: 'format', program: 'prettier', args: ['--check', '--log-level', 'warn', '.'] },
  { name: 'layers', program: 'depcruise', args: ['common', 'operator', 'sidecar', 'test'] },
  { name: 'spec', program: 'node', args: ['test/spec-check.ts'] },
  { name: 'unused', program: 'knip', args: ['--treat-config-hints-as-errors'] },
];

const maxParallel = Math.min(4, Math.max(2, availableParallelism()));

async function run(): Promise<number> {
  const queue = [...checks];
  let failed = 0;
  const worker = async (): Promise<void> => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const result = await runCommand(`node_modules/.bin/${check.program}`, check.args, {
        output: 'keep',
        env: process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' },
      });
      if (result.exitCode !== 0) failed += 1;
      console.log(
        `${result.exitCode === 0 ? 'ok    ' : 'FAILED'}  ${check.name.padEnd(8)} ${(result.durationMs / 1000).toFixed(1).padStart(5)} s`,
      );
      if (result.exitCode !== 0) console.log(result.output);
    }
  };
  await Promise.all(Array.from({ length: maxParallel }, worker));
  console.log(`checks: ${String(checks.length - failed)} passed, ${String(failed)} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await run();
