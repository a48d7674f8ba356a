// 1,000 changes by every way in: the leader, a follower that forwards, and a user's container. Every pod ends with one log and one state (I1, K1, K2).
import { expect } from '@jest/globals';
import { drPodName, memberPodName } from '../../common/names.ts';
import { figure, scenario } from '../lib/scenario.ts';
import type { LiveCluster } from '../lib/live-cluster.ts';

const names = [0, 1, 2].map((ordinal) => memberPodName('trading', ordinal));
const all = [...names, drPodName('trading', 0)];

/** Submits `count` changes on one connection, from inside a user's container; prints how many were acknowledged. */
const submitMany = `
const [, from, count] = process.argv.map(Number);
const line = (n) => JSON.stringify({ operations: [{ put: { key: 'key-' + (n % 100), value: { n } } }], idempotencyKey: 'change-' + n });
const body = Array.from({ length: count }, (_, at) => line(from + at) + '\\n').join('');
const headers = { 'content-type': 'application/x-ndjson' };
const response = await fetch(process.env.CONTROLCLUSTER_URL + '/v1/changes', { method: 'POST', headers, body });
const answers = (await response.text()).split('\\n').filter(Boolean).map((text) => JSON.parse(text));
process.stdout.write(String(answers.filter(({ uid }) => uid > 0).length));`;

const stateOf = async (cluster: LiveCluster, pod: string): Promise<unknown> =>
  JSON.parse((await cluster.call(pod, 'GET', '/v1/state?prefix=key-&limit=1000')).text);

scenario('one log', (cluster, step) => {
  let leader = '';
  let follower = '';

  step('starts', async () => {
    const startedMs = performance.now();
    await cluster.apply();
    await cluster.running();
    figure('from apply to Running', performance.now() - startedMs);
    leader = await cluster.leader();
    follower = names.find((name) => name !== leader) ?? '';
    await cluster.usersReady();
  });

  step('acknowledges 400 changes through the leader, 400 through a follower and 200 by kubectl exec', async () => {
    expect(await cluster.exec(leader, submitMany, '0', '400')).toBe('400');
    expect(await cluster.exec(follower, submitMany, '400', '400')).toBe('400');
    for (let at = 0; at < 200; at += 50) {
      const pod = names[(at / 50) % names.length] ?? '';
      expect(await cluster.exec(pod, submitMany, String(800 + at), '50')).toBe('50');
    }
  });

  step('holds the same log, hash and state on every member and on the replica (I1)', async () => {
    expect((await cluster.agreed()).uid).toBe(1000);
    const [log, ...others] = await Promise.all(all.map((pod) => cluster.log(pod)));
    expect(log?.map(({ uid, idempotencyKey }) => [uid, idempotencyKey])).toEqual(
      Array.from({ length: 1000 }, (_, at) => [at + 1, `change-${String(at)}`]),
    );
    for (const other of others) expect(other).toEqual(log);
    const [state, ...states] = await Promise.all(all.map((pod) => stateOf(cluster, pod)));
    expect((state as { entries: unknown[] }).entries).toHaveLength(100);
    for (const other of states) expect(other).toEqual(state);
  });

  step('refuses a write on the disaster-recovery replica, and says where to write (I4)', async () => {
    const { status, text } = await cluster.call(drPodName('trading', 0), 'PUT', '/v1/state/key-1', 1);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(JSON.parse(text)).toMatchObject({ code: 'always_follower' });
  });
});
