// Electing one replica of the operator: what is not granted is said, once; what somebody else was faster with is not.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Answer } from '../../operator/controller/kube-api.ts';
import { LeaderElection } from '../../operator/controller/leader-election.ts';
import { eventually } from '../lib/eventually.ts';

/** A candidate at an API server without a Lease, which answers its creation as the test says. */
function candidate(create: () => Answer) {
  const logged: string[] = [];
  let tries = 0;
  const api = {
    send: (method: string): Promise<Answer> => {
      if (method === 'GET') return Promise.resolve({ kind: 'refused', status: 404, message: 'not found' });
      tries += 1;
      return Promise.resolve(create());
    },
  };
  const log = pino({ level: 'warn' }, { write: (line: string) => logged.push(line) });
  const times = { leaseDurationMs: 30, renewDeadlineMs: 20, retryPeriodMs: 2 };
  const election = new LeaderElection(api, { namespace: 'desk', leaseName: 'operator', identity: 'operator-0', ...times }, log);
  return { election, logged, tries: () => tries };
}

describe('a candidate', () => {
  test.each<[number, number]>([
    [403, 1],
    [500, 1],
    [409, 0],
  ])('that is answered with %s goes on, and logs that %s times', async (status, times) => {
    const { election, logged, tries } = candidate(() => ({ kind: 'refused', status, message: 'the very words' }));
    const acquired = election.acquire();
    await eventually(() => {
      expect(tries()).toBeGreaterThan(2);
    });
    election.stop();
    expect(await acquired).toBe(false);
    expect(logged).toHaveLength(times);
    for (const line of logged) expect(line).toContain('the very words');
  });

  test('that may not free its Lease in the end says so, and ends', async () => {
    let answer: Answer = { kind: 'ok', body: { metadata: { name: 'operator', namespace: 'desk', resourceVersion: '1' } } };
    const { election, logged } = candidate(() => answer);
    expect(await election.acquire()).toBe(true);
    answer = { kind: 'refused', status: 403, message: 'the very words' };
    await election.release();
    expect(logged).toHaveLength(1);
  });
});
