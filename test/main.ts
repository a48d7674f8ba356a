// `npm test`: every stage, a summary, and as the last line `tests: N passed, N failed, N skipped`. Leaves `artifacts/`.
// The exit code is 0 only when tests ran and nothing failed. The end-to-end stage removes this checkout's bundled cluster, that of the demo, before and after.
// `npm test -- --only unit,integration` runs some stages; the last line then speaks of those.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { runCommand, signalRunningCommands, type CommandResult } from './command.ts';
import { runStages, stageNames, summarise, type StageName, type StageResult } from './stages.ts';

const artifacts = 'artifacts';
const usage = `npm test [-- --only STAGE[,STAGE]...]   the stages are ${stageNames.join(', ')}

e2e needs root, and removes the bundled cluster of this checkout, that of the demo, before and after.`;

/** The part of Jest's report that is counted. A file that could not run has no tests, and is one failure. */
const jestReportSchema = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  numTodoTests: z.int(),
  numRuntimeErrorTestSuites: z.int(),
});

function readReport(file: string): z.infer<typeof jestReportSchema> | null {
  try {
    return jestReportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // Jest ended before it wrote one: the stage has failed, and says so by its exit code.
    return null;
  }
}

async function run(name: StageName): Promise<StageResult> {
  return name === 'check' ? asFailure(name, await runCommand(process.execPath, ['test/check.ts'], { output: 'show' })) : runJest(name);
}

async function runJest(name: StageName): Promise<StageResult> {
  const reportFile = `${artifacts}/${name}.json`;
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    '--selectProjects',
    name,
  ];
  if (name !== 'unit') args.push('--runInBand');
  const result = await runCommand(process.execPath, [...args, '--json', '--outputFile', reportFile], { output: 'show' });
  const report = readReport(reportFile);
  const failed = report === null ? 1 : report.numFailedTests + report.numRuntimeErrorTestSuites;
  return {
    name,
    durationMs: result.durationMs,
    passed: report?.numPassedTests ?? 0,
    // Jest can also fail as a whole: no test found, a setup that threw.
    failed: failed === 0 && result.exitCode !== 0 ? 1 : failed,
    skipped: report === null ? 0 : report.numPendingTests + report.numTodoTests,
  };
}

/** Not counted as tests when they pass: only a failure is added. */
function asFailure(name: string, result: CommandResult): StageResult {
  return { name, durationMs: result.durationMs, passed: 0, failed: result.exitCode === 0 ? 0 : 1, skipped: 0 };
}

/** The programs and images of the bundled cluster, beside the stages that need none of them. */
async function prepare(): Promise<StageResult> {
  const logFile = `${artifacts}/preparation.log`;
  const result = await runCommand(process.execPath, ['test/cluster/main.ts', 'build'], { output: 'keep', logFile, nice: 5 });
  if (result.exitCode !== 0) console.error(`The preparation failed, see ${logFile}. Its end:\n${result.output.slice(-2_000)}`);
  return asFailure('preparation', result);
}

/** The logs of the components are those of the daemons and the API server's audit. */
async function takeDown(name: string, keepLogs: boolean): Promise<StageResult> {
  const keep = keepLogs ? ['--keep-logs', `${artifacts}/cluster`] : [];
  const result = await runCommand(process.execPath, ['test/cluster/main.ts', 'down', '--verify', ...keep], {
    output: 'keep',
    logFile: `${artifacts}/${name.replace(' ', '-')}.log`,
  });
  if (result.exitCode !== 0) console.error(`The cluster could not be removed:\n${result.output.slice(-2_000)}`);
  return asFailure(name, result);
}

function selectStages(): StageName[] {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } } });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const wanted = values.only?.split(',') ?? [...stageNames];
  const unknown = wanted.filter((name) => !(stageNames as readonly string[]).includes(name));
  if (unknown.length > 0) {
    console.error(`--only ${unknown.join(',')}: the stages are ${stageNames.join(', ')}.`);
    process.exit(2);
  }
  return stageNames.filter((name) => wanted.includes(name));
}

function show(results: readonly StageResult[], total: StageResult): void {
  console.log('\nstage           time   passed  failed  skipped');
  for (const { name, durationMs, passed, failed, skipped } of [...results, total]) {
    const minutes = `${String(Math.floor(durationMs / 60_000))}:${String(Math.floor(durationMs / 1000) % 60).padStart(2, '0')}`;
    const numbers = [minutes.padStart(8), String(passed).padStart(8), String(failed).padStart(8), String(skipped).padStart(9)];
    console.log(`${name.padEnd(12)}${numbers.join('')}`);
  }
  console.log(`\ntests: ${String(total.passed)} passed, ${String(total.failed)} failed, ${String(total.skipped)} skipped`);
}

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    interruption.abort(signal);
    signalRunningCommands(signal);
  });

const stages = selectStages();
rmSync(artifacts, { recursive: true, force: true });
mkdirSync(artifacts, { recursive: true });
const isInterrupted = (): boolean => interruption.signal.aborted;
const results = await runStages(stages, { prepare, run, takeDown, isInterrupted, say: console.log });
const total = summarise(results);
if (isInterrupted()) console.log(`\nInterrupted by ${String(interruption.signal.reason)}: not every stage has run to its end.`);
show(results, total);
const onlyCheck = stages.every((name) => name === 'check');
process.exitCode = isInterrupted() || total.failed > 0 || (total.passed === 0 && !onlyCheck) ? 1 : 0;
