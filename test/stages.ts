// The order of `npm test`: which stages run, what comes before them, and what does not run when something before it has failed or the run is interrupted.
// Starts nothing itself (main.ts does).

export const stageNames = ['check', 'unit', 'simulation', 'conformance', 'integration', 'e2e'] as const;
export type StageName = (typeof stageNames)[number];
/** Stages that run Kubernetes, etcd or NATS, and so need the programs of the bundled cluster. */
const needPrograms: ReadonlySet<StageName> = new Set(['conformance', 'integration', 'e2e']);

export interface StageResult {
  readonly name: string;
  readonly durationMs: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Steps {
  /** Makes the programs and images of the bundled cluster, beside the stages that need none of them. */
  readonly prepare: () => Promise<StageResult>;
  readonly run: (name: StageName) => Promise<StageResult>;
  /** Removes the bundled cluster of this checkout; the logs of its components are kept on demand. */
  readonly takeDown: (name: string, keepLogs: boolean) => Promise<StageResult>;
  readonly isInterrupted: () => boolean;
  readonly say: (line: string) => void;
}

/** A stage that fails does not stop the next ones; an interruption does, once what has to be taken down is taken down. */
export async function runStages(stages: readonly StageName[], steps: Steps): Promise<StageResult[]> {
  const results: StageResult[] = [];
  const needy = stages.filter((name) => needPrograms.has(name));
  const preparation = needy.length > 0 ? steps.prepare() : null;
  for (const name of stages.filter((each) => !needy.includes(each))) {
    if (!steps.isInterrupted()) results.push(await runStage(name, steps));
  }
  if (preparation === null) return results;
  steps.say('\n== preparation');
  const prepared = await preparation;
  results.push(prepared);
  for (const name of needy) {
    if (steps.isInterrupted()) break;
    if (prepared.failed > 0) results.push(notRun(name, 'the preparation has failed', steps));
    else results.push(...(name === 'e2e' ? await runOnCluster(name, steps) : [await runStage(name, steps)]));
  }
  return results;
}

async function runStage(name: StageName, steps: Steps): Promise<StageResult> {
  steps.say(`\n== ${name}`);
  return steps.run(name);
}

/** The end-to-end tests begin without a cluster: what the demo, or a run that broke off, has left in one is not what they test. */
async function runOnCluster(name: StageName, steps: Steps): Promise<StageResult[]> {
  const before = await steps.takeDown('down before', false);
  if (before.failed > 0) return [before, notRun(name, 'the cluster on this machine could not be removed', steps)];
  if (steps.isInterrupted()) return [before];
  const result = await runStage(name, steps);
  return [before, result, await steps.takeDown('down', result.failed > 0)];
}

function notRun(name: StageName, reason: string, { say }: Steps): StageResult {
  say(`${name} does not run, and counts as failed: ${reason}.`);
  return { name, durationMs: 0, passed: 0, failed: 1, skipped: 0 };
}

export function summarise(results: readonly StageResult[]): StageResult {
  const sum = (pick: (result: StageResult) => number): number => results.reduce((total, result) => total + pick(result), 0);
  return {
    name: 'all',
    durationMs: sum((r) => r.durationMs),
    passed: sum((r) => r.passed),
    failed: sum((r) => r.failed),
    skipped: sum((r) => r.skipped),
  };
}
