// What the operator asks of the API server when nothing happens, counted in the audit log; and its two replicas: one works, the other stands by.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { drPodName } from '../../common/names.ts';
import { controlClusterSchema } from '../../common/schema.ts';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { clusterKind, kindOf, leaseKind, namespacedPath, podKind } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import { ActingCluster, positionAt } from '../lib/acting-cluster.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { releaseNamespace } from '../lib/chart.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, operatorUser, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

const clusters = 50;
/** Long enough for heartbeats, sweeps and elections to show what they cost. */
const idleMs = 20_000;
const withinMs = 120_000;
const namespace = 'default';
let server: ApiServer;
let api: KubeApi;
let first: Operator;
let second: Operator;
let acting: ActingCluster;

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  first = await runOperator(server, 'first');
  await eventually(async () => {
    expect(await operatorLeaseHolder()).toBe('first');
  }, withinMs);
  second = await runOperator(server, 'second');
  acting = new ActingCluster(api, namespace, 'idle-0');
}, withinMs);
afterAll(async () => {
  await acting.stop();
  await Promise.all([first.stop(), second.stop()]);
  await server.stop();
});

async function operatorLeaseHolder(): Promise<string> {
  const answer = await api.send('GET', namespacedPath(leaseKind, releaseNamespace, 'controlcluster-operator'));
  return answer.kind === 'ok' ? ((answer.body as KubeObject).spec as { holderIdentity: string }).holderIdentity : '';
}

/** No StatefulSet controller runs here: the pods of the acting cluster are the test's. */
async function createPod(name: string): Promise<void> {
  const metadata = { name, namespace, labels: { 'controlcluster.io/cluster': 'idle-0' } };
  const spec = { serviceAccountName: 'idle-0', automountServiceAccountToken: false, containers: [{ name: 'control', image: 'i' }] };
  const body = { metadata, spec };
  const answer = await api.send('POST', namespacedPath(podKind, namespace), { body });
  if (answer.kind === 'refused') throw new Error(answer.message);
}

interface AuditEntry {
  readonly verb: string;
  readonly requestURI: string;
  readonly stageTimestamp: string;
  readonly stage: string;
  readonly impersonatedUser?: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly name?: string; readonly namespace?: string };
}

/** Of the operator, but for the Lease by which its replicas elect one. */
async function requestsSince(since: Date): Promise<AuditEntry[]> {
  const lines = (await readFile(server.auditLog, 'utf8')).split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as AuditEntry)
    .filter(({ impersonatedUser, stageTimestamp }) => impersonatedUser?.username === operatorUser && new Date(stageTimestamp) > since)
    .filter(({ objectRef }) => objectRef?.namespace !== releaseNamespace);
}

async function statusOf(name: string) {
  const answer = await api.send('GET', namespacedPath(clusterKind, namespace, name));
  return answer.kind === 'ok' ? controlClusterSchema.parse(answer.body).status : undefined;
}

describe('the operator', () => {
  test(`makes ${String(clusters)} clusters, then writes and lists nothing while they are idle, heartbeats included`, async () => {
    for (let at = 0; at < clusters; at += 1) await createCluster(api, namespace, `idle-${String(at)}`);
    await eventually(async () => {
      expect((await statusOf(`idle-${String(clusters - 1)}`))?.conditions?.find(({ type }) => type === 'Progressing')?.reason).toBe(
        'Settled',
      );
    }, withinMs);
    const pods = ['idle-0-0', 'idle-0-1', 'idle-0-2'];
    for (const pod of pods) {
      await createPod(pod);
      await acting.report(pod);
    }
    await eventually(async () => {
      expect((await statusOf('idle-0'))?.phase).toBe('Electing');
    }, withinMs);
    await acting.lead('idle-0-0', positionAt(1, 5));
    for (const pod of pods.slice(1)) await acting.follow(pod, positionAt(1, 5));
    for (const pod of pods) await acting.runPod(pod);
    await eventually(async () => {
      expect(await statusOf('idle-0')).toMatchObject({ phase: 'Running', uid: 5, ready: '3/3' });
    }, withinMs);

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
    const perKind = Map.groupBy(requests, ({ objectRef }) => objectRef?.resource ?? '');
    for (const [kind, asked] of perKind) expect([kind, asked.length]).toEqual([kind, 1]);
  });

  test('writes the UIDs of a busy cluster at most once in five seconds', async () => {
    const since = new Date();
    for (let uid = 6; uid < 60; uid += 1) {
      await acting.follow('idle-0-1', positionAt(1, uid));
      await acting.lead('idle-0-0', positionAt(1, uid));
      await pause(100);
    }
    await eventually(async () => {
      expect((await statusOf('idle-0'))?.uid).toBe(59);
    }, withinMs);
    const seconds = (Date.now() - since.getTime()) / 1000;
    const writes = (await requestsSince(since)).filter(({ verb }) => verb === 'patch');
    expect(writes.length).toBeGreaterThan(0);
    expect(writes.length).toBeLessThanOrEqual(Math.ceil(seconds / 5) + 1);
  });

  test('I6: the high-water mark never falls', async () => {
    const before = await statusOf('idle-0');
    await acting.lead('idle-0-0', positionAt(1, 30));
    await acting.follow('idle-0-1', positionAt(1, 30), { phase: 'CatchingUp', reason: 'CatchingUp', message: 'It reads the log.' });
    await eventually(async () => {
      expect((await statusOf('idle-0'))?.phase).toBe('Degraded');
    }, withinMs);
    expect((await statusOf('idle-0'))?.highWaterMark).toEqual(before?.highWaterMark);
  });

  test('hands over to the other replica, which finishes what was begun', async () => {
    expect(await operatorLeaseHolder()).toBe('first');
    const writesBefore = await writesOf('drill');
    expect(writesBefore).toBe(0);
    await createCluster(api, namespace, 'drill', { disasterRecovery: { replicas: 2 } });
    // In the middle of making the objects: some are there, the last is not.
    await first.stop();
    await eventually(async () => {
      expect(await operatorLeaseHolder()).toBe('second');
    }, withinMs);
    await eventually(async () => {
      const answer = await api.send('GET', namespacedPath(kindOf({ kind: 'Lease' }), namespace, drPodName('drill', 1)));
      expect(answer.kind).toBe('ok');
      expect((await statusOf('drill'))?.conditions?.find(({ type }) => type === 'Progressing')?.reason).toBe('Settled');
    }, withinMs);
    expect(await first.ended).toBe('stopped');
  });

  test('takes over from a replica that ended without a word, after its Lease has run out', async () => {
    const third = await runOperator(server, 'third');
    try {
      // As if its process had been killed: nobody renews, nobody frees.
      await second.stop();
      const lease = namespacedPath(leaseKind, releaseNamespace, 'controlcluster-operator');
      await api.send('PATCH', lease, { body: { spec: { holderIdentity: 'dead' } }, contentType: 'application/merge-patch+json' });
      const startedMs = performance.now();
      await eventually(async () => {
        expect(await operatorLeaseHolder()).toBe('third');
      }, withinMs);
      expect(performance.now() - startedMs).toBeGreaterThan(2_500);
      await createCluster(api, namespace, 'after');
      await eventually(async () => {
        expect((await statusOf('after'))?.phase).toBe('Pending');
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
    const lease = namespacedPath(leaseKind, releaseNamespace, 'controlcluster-operator');
    await api.send('PATCH', lease, { body: { spec: { holderIdentity: 'thief' } }, contentType: 'application/merge-patch+json' });
    expect(await fourth.ended).toBe('lost');
    expect(await operatorLeaseHolder()).toBe('thief');
  });
});

async function writesOf(cluster: string): Promise<number> {
  return (await requestsSince(new Date(0))).filter(({ objectRef }) => objectRef?.name?.startsWith(cluster) === true).length;
}
