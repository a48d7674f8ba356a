// What the operator asks of the API server when nothing happens, counted in the audit log; and its two replicas: one works, the other stands by.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { drPodName } from '../../common/names.ts';
import { mergePatch, type KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { clusterKind, leaseKind, namespacedPath, ownedKinds, podGroupKind, podKind } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import { ActingCluster, positionAt } from '../lib/acting-cluster.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { releaseNamespace } from '../lib/chart.ts';
import { ClusterObjects, requestsOfOperator, type AuditEntry } from '../lib/cluster-objects.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

const clusters = 50;
/** As sidecars do. */
const heartbeatMs = 2_000;
/** Long enough for heartbeats, sweeps and elections to show what they cost. */
const idleMs = 20_000;
const withinMs = 120_000;
const namespace = 'default';
let server: ApiServer;
let api: KubeApi;
let first: Operator;
let second: Operator;
let objects: ClusterObjects;
const actors: ActingCluster[] = [];

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  objects = new ClusterObjects(api, server, namespace);
  first = await runOperator(server, 'first');
  await eventually(async () => {
    expect(await operatorLeaseHolder()).toBe('first');
  }, withinMs);
  second = await runOperator(server, 'second');
}, withinMs);
afterAll(async () => {
  await Promise.all(actors.map((acting) => acting.stop()));
  await Promise.all([first.stop(), second.stop()]);
  await server.stop();
});

async function operatorLeaseHolder(): Promise<string> {
  const answer = await api.send('GET', namespacedPath(leaseKind, releaseNamespace, 'controlcluster-operator'));
  return answer.kind === 'ok' ? ((answer.body as KubeObject).spec as { holderIdentity: string }).holderIdentity : '';
}

async function giveOperatorLease(holderIdentity: string): Promise<void> {
  const lease = namespacedPath(leaseKind, releaseNamespace, 'controlcluster-operator');
  const answer = await api.send('PATCH', lease, { body: { spec: { holderIdentity } }, contentType: mergePatch });
  if (answer.kind === 'refused') throw new Error(answer.message);
}

/** Of the operator, but for the Lease by which its replicas elect one. */
const requestsSince = async (since: Date): Promise<AuditEntry[]> =>
  (await requestsOfOperator(server, since)).filter(({ objectRef }) => objectRef?.namespace !== releaseNamespace);

const podsOf = (cluster: string): string[] => [0, 1, 2].map((ordinal) => `${cluster}-${String(ordinal)}`);

/** From the manifest to Running, then heartbeats. No StatefulSet controller runs here: the pods are the test's. */
async function runCluster(name: string): Promise<ActingCluster> {
  const acting = new ActingCluster(api, namespace, name, heartbeatMs);
  actors.push(acting);
  await createCluster(api, namespace, name);
  await eventually(async () => {
    expect(await objects.condition(name, 'Progressing')).toMatchObject({ reason: 'Settled' });
  }, withinMs);
  const [leader = '', ...followers] = podsOf(name);
  for (const pod of podsOf(name)) {
    await acting.createPod(pod);
    await acting.report(pod);
  }
  await acting.lead(leader, positionAt(1, 5));
  for (const pod of followers) await acting.follow(pod, positionAt(1, 5));
  for (const pod of podsOf(name)) await acting.runPod(pod);
  await eventually(async () => {
    expect(await objects.status(name)).toMatchObject({ phase: 'Running', uid: 5, ready: '3/3' });
  }, withinMs);
  return acting;
}

describe('the operator', () => {
  test(`runs ${String(clusters)} clusters, then writes and lists nothing while they are idle, heartbeats included`, async () => {
    for (let at = 0; at < clusters; at += 1) await runCluster(`idle-${String(at)}`);
    // The writes of the start have to come to an end: nothing for a while is the condition that is waited for.
    await eventually(async () => {
      const since = new Date();
      await pause(6_000);
      expect(await requestsSince(since)).toEqual([]);
    }, withinMs);
    const since = new Date();
    await pause(idleMs);
    const requests = await requestsSince(since);
    expect(requests.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb))).toEqual([]);
    for (const [kind, asked] of perKind(requests)) expect([kind, asked.length]).toEqual([kind, 1]);
  });

  test('has listed each kind that it watches once in all its life', async () => {
    // One that is answered 429, as in the first second of a CustomResourceDefinition, is none.
    const lists = (await requestsSince(new Date(0)))
      .filter(({ verb, responseStatus }) => verb === 'list' && responseStatus?.code === 200)
      .map(({ objectRef }) => objectRef?.resource ?? '');
    const kinds = [clusterKind, podKind, podGroupKind, ...ownedKinds].map(({ plural }) => plural);
    // On a slow machine it asks why the pods are not there yet.
    expect(lists.filter((kind) => kind !== 'events').toSorted()).toEqual(kinds.toSorted());
  });

  test('writes the UIDs of a busy cluster at most once in five seconds', async () => {
    const [acting] = actors;
    if (acting === undefined) throw new Error('no cluster runs');
    const since = new Date();
    for (let uid = 6; uid < 60; uid += 1) {
      await acting.follow('idle-0-1', positionAt(1, uid));
      await acting.lead('idle-0-0', positionAt(1, uid));
      await pause(100);
    }
    await eventually(async () => {
      expect((await objects.status('idle-0'))?.uid).toBe(59);
    }, withinMs);
    const seconds = (Date.now() - since.getTime()) / 1000;
    const writes = (await requestsSince(since)).filter(({ verb }) => verb === 'patch');
    expect(writes.length).toBeGreaterThan(0);
    expect(writes.length).toBeLessThanOrEqual(Math.ceil(seconds / 5) + 1);
  });

  test('I6: the high-water mark never falls', async () => {
    const [acting] = actors;
    if (acting === undefined) throw new Error('no cluster runs');
    const before = await objects.status('idle-0');
    await acting.lead('idle-0-0', positionAt(1, 30));
    await acting.follow('idle-0-1', positionAt(1, 30), { phase: 'CatchingUp', reason: 'CatchingUp', message: 'It reads the log.' });
    await eventually(async () => {
      expect((await objects.status('idle-0'))?.phase).toBe('Degraded');
    }, withinMs);
    expect((await objects.status('idle-0'))?.highWaterMark).toEqual(before?.highWaterMark);
  });

  test('hands over to the other replica, which finishes what was begun', async () => {
    expect(await operatorLeaseHolder()).toBe('first');
    await createCluster(api, namespace, 'drill', { disasterRecovery: { replicas: 2 } });
    // A plan that is under way is carried out; an end in the middle of one is the subject of operator-restart.test.ts.
    await first.stop();
    await eventually(async () => {
      expect(await operatorLeaseHolder()).toBe('second');
    }, withinMs);
    await eventually(async () => {
      const answer = await api.send('GET', namespacedPath(leaseKind, namespace, drPodName('drill', 1)));
      expect(answer.kind).toBe('ok');
      expect(await objects.condition('drill', 'Progressing')).toMatchObject({ reason: 'Settled' });
    }, withinMs);
    expect(await first.ended).toBe('stopped');
  });

  test('takes over from a replica that ended without a word, after its Lease has run out', async () => {
    // Nobody renews this one and nobody frees it, as if the process of its holder had been killed.
    await giveOperatorLease('dead');
    expect(await second.ended).toBe('lost');
    const startedMs = performance.now();
    const third = await runOperator(server, 'third');
    try {
      await eventually(async () => {
        expect(await operatorLeaseHolder()).toBe('third');
      }, withinMs);
      expect(performance.now() - startedMs).toBeGreaterThan(2_500);
      await createCluster(api, namespace, 'after');
      await eventually(async () => {
        expect((await objects.status('after'))?.phase).toBe('Pending');
      }, withinMs);
    } finally {
      await third.stop();
    }
  });

  test('ends when its Lease is taken from it', async () => {
    const fourth = await runOperator(server, 'fourth');
    await eventually(async () => {
      expect(await operatorLeaseHolder()).toBe('fourth');
    }, withinMs);
    await giveOperatorLease('thief');
    expect(await fourth.ended).toBe('lost');
    expect(await operatorLeaseHolder()).toBe('thief');
  });
});

const perKind = (requests: readonly AuditEntry[]): Map<string, AuditEntry[]> =>
  Map.groupBy(requests, ({ objectRef }) => objectRef?.resource ?? '');
