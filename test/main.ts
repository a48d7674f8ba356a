// `npm test`: every stage, a summary, and as the last line `tests: N passed, N failed, N skipped`.
// A stage that fails does not stop the next ones; the exit code is 0 only when tests ran and nothing failed. Leaves `artifacts/`.
// `npm test -- --only unit,integration` runs some stages; the last line then speaks of those.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { runCommand, signalRunningCommands, type CommandResult } from './command.ts';

const artifacts = 'artifacts';
const stageNames = ['check', 'unit', 'conformance', 'integration', 'e2e'] as const;
type StageName = (typeof stageNames)[number];
/** Stages that run Kubernetes, etcd or NATS, and so need the programs of the bundled cluster. */
const needPrograms: ReadonlySet<StageName> = new Set(['conformance', 'integration', 'e2e']);

interface StageResult {
  readonly name: string;
  readonly durationMs: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

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

/** Removes the bundled cluster that the end-to-end tests have used. After a failure the logs of its components and the API server's audit are kept. */
async function takeDown(failed: boolean): Promise<StageResult> {
  const keep = failed ? ['--keep-logs', `${artifacts}/cluster`] : [];
  const result = await runCommand(process.execPath, ['test/cluster/main.ts', 'down', ...keep], {
    output: 'keep',
    logFile: `${artifacts}/down.log`,
  });
  if (result.exitCode !== 0) console.error(`The cluster could not be removed:\n${result.output.slice(-2_000)}`);
  return asFailure('down', result);
}

function selectStages(): StageName[] {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const wanted = values.only?.split(',') ?? [...stageNames];
  const unknown = wanted.filter((name) => !(stageNames as readonly string[]).includes(name));
  if (unknown.length > 0) {
    console.error(`--only ${unknown.join(',')}: the stages are ${stageNames.join(', ')}.`);
    process.exit(2);
  }
  return stageNames.filter((name) => wanted.includes(name));
}

async function runStages(stages: readonly StageName[]): Promise<StageResult[]> {
  const results: StageResult[] = [];
  const preparation = stages.some((name) => needPrograms.has(name)) ? prepare() : null;
  let prepared = preparation === null;
  for (const name of stages) {
    if (!prepared && preparation !== null && needPrograms.has(name)) {
      console.log('\n== preparation');
      results.push(await preparation);
      prepared = true;
    }
    console.log(`\n== ${name}`);
    const result =
      name === 'check' ? asFailure(name, await runCommand(process.execPath, ['test/check.ts'], { output: 'show' })) : await runJest(name);
    results.push(result);
    if (name === 'e2e') results.push(await takeDown(result.failed > 0));
  }
  return results;
}

function summarise(results: readonly StageResult[]): StageResult {
  const sum = (pick: (result: StageResult) => number): number => results.reduce((total, result) => total + pick(result), 0);
  return {
    name: 'all',
    durationMs: sum((r) => r.durationMs),
    passed: sum((r) => r.passed),
    failed: sum((r) => r.failed),
    skipped: sum((r) => r.skipped),
  };
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

// A stage tears its own things down when it is told to end; the summary then follows as usual.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => signalRunningCommands(signal));

const stages = selectStages();
rmSync(artifacts, { recursive: true, force: true });
mkdirSync(artifacts, { recursive: true });
const results = await runStages(stages);
const total = summarise(results);
show(results, total);
const onlyCheck = stages.every((name) => name === 'check');
process.exitCode = total.failed > 0 || (total.passed === 0 && !onlyCheck) ? 1 : 0;
