// The order of `npm test`: what runs before the end-to-end stage, and what does not run after a failure or an interruption.
import { describe, expect, test } from '@jest/globals';
import { runStages, stageNames, summarise, type StageName, type StageResult } from '../stages.ts';

/** Runs the stages, of which some steps fail and one is interrupted, and tells what was done. */
async function ran(stages: readonly StageName[], { failing = [] as string[], interruptedIn = '' } = {}) {
  const done: string[] = [];
  const said: string[] = [];
  let interrupted = false;
  const step = async (name: string, note = ''): Promise<StageResult> => {
    done.push(`${name}${note}`);
    if (name === interruptedIn) interrupted = true;
    const failed = failing.includes(name) || name === interruptedIn ? 1 : 0;
    return Promise.resolve({ name, durationMs: 1, passed: 1 - failed, failed, skipped: 0 });
  };
  const results = await runStages(stages, {
    prepare: async () => step('preparation'),
    run: async (name) => step(name),
    takeDown: async (name, keepLogs) => step(name, keepLogs ? ' with logs' : ''),
    isInterrupted: () => interrupted,
    say: (line) => said.push(line),
  });
  return { done, said: said.join('\n'), total: summarise(results) };
}

describe('the stages', () => {
  test('run in order, the end-to-end tests without the cluster that was there', async () => {
    const { done } = await ran(stageNames);
    expect(done).toEqual(['preparation', 'check', 'unit', 'simulation', 'conformance', 'integration', 'down before', 'e2e', 'down']);
  });

  test('that need no programs wait for no preparation', async () => {
    expect((await ran(['check', 'unit'])).done).toEqual(['check', 'unit']);
  });

  test('run on after one that failed, and the logs of the cluster are kept', async () => {
    expect((await ran(['unit', 'e2e'], { failing: ['unit', 'e2e'] })).done).toEqual([
      'preparation',
      'unit',
      'down before',
      'e2e',
      'down with logs',
    ]);
  });

  test('that need the programs do not run after a failed preparation, and each is one failure that says why', async () => {
    const { done, said, total } = await ran(stageNames, { failing: ['preparation'] });
    expect(done).toEqual(['preparation', 'check', 'unit', 'simulation']);
    expect(said.match(/^\w+ does not run, .*: the preparation has failed\.$/gm)).toHaveLength(3);
    expect(total).toMatchObject({ passed: 3, failed: 4 });
  });

  test('leave a cluster alone that cannot be removed', async () => {
    const { done, said, total } = await ran(['e2e'], { failing: ['down before'] });
    expect(done).toEqual(['preparation', 'down before']);
    expect(said).toContain('e2e does not run, and counts as failed: the cluster on this machine could not be removed.');
    expect(total.failed).toBe(2);
  });

  test.each([
    ['unit', ['preparation', 'check', 'unit']],
    ['conformance', ['preparation', 'check', 'unit', 'simulation', 'conformance']],
    ['down before', ['preparation', 'check', 'unit', 'simulation', 'conformance', 'integration', 'down before']],
    ['e2e', ['preparation', 'check', 'unit', 'simulation', 'conformance', 'integration', 'down before', 'e2e', 'down with logs']],
  ])('end with an interruption of %s, and the cluster is taken down', async (interruptedIn, expected) => {
    expect((await ran(stageNames, { interruptedIn })).done).toEqual(expected);
  });
});
