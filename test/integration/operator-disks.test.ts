// What pods say of their disks, as people see it at a real API server: changes that were given up, and a journal that waits for repair.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../common/names.ts';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { leaseKind } from '../../operator/controller/resource-kind.ts';
import { ActingCluster, positionAt } from '../lib/acting-cluster.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { ClusterObjects } from '../lib/cluster-objects.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

const withinMs = 30_000;
const namespace = 'default';
const pods = ['trading-0', 'trading-1', 'trading-2'];
let server: ApiServer;
let api: KubeApi;
let operator: Operator;
let objects: ClusterObjects;
let trading: ActingCluster;

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  objects = new ClusterObjects(api, server, namespace);
  trading = new ActingCluster(api, namespace, 'trading');
  operator = await runOperator(server);
  await createCluster(api, namespace, 'trading');
  await eventually(async () => {
    expect(await objects.condition('trading', 'Progressing')).toMatchObject({ reason: 'Settled' });
  }, withinMs);
  for (const pod of pods) {
    await trading.createPod(pod);
    await trading.runPod(pod);
    await trading.report(pod);
  }
  await trading.lead('trading-0', positionAt(1, 20));
  for (const pod of pods.slice(1)) await trading.follow(pod, positionAt(1, 20));
});
afterAll(async () => {
  await trading.stop();
  await operator.stop();
  await server.stop();
});

const eventsOf = async (reason: string): Promise<string[]> => (await objects.events('trading')).filter((event) => event.startsWith(reason));
const described = async (): Promise<string> => (await server.kubectl(['describe', 'cc', 'trading', '-n', namespace])).stdout;

describe('a pod', () => {
  const tail = { id: 'diverged-0.1-11-13-aaaaaaaa', kind: 'diverged' as const, firstUid: 11, lastUid: 13, changes: 3 };
  const later = { id: 'diverged-0.2-14-14-bbbbbbbb', kind: 'diverged' as const, firstUid: 14, lastUid: 14, changes: 1 };

  test('that gave changes up: each archive is told once, by whichever operator, and stands in the status (I5)', async () => {
    await trading.report('trading-1', { discarded: [tail] });
    await eventually(async () => {
      expect(await eventsOf('ChangesArchived')).toHaveLength(1);
    }, withinMs);
    expect((await objects.status('trading'))?.members?.[1]?.discarded).toEqual([tail]);
    await operator.stop();
    operator = await runOperator(server, 'operator-1');
    await trading.report('trading-1', { discarded: [tail, later] });
    await eventually(async () => {
      expect((await objects.status('trading'))?.members?.[1]?.discarded).toEqual([tail, later]);
      expect((await eventsOf('ChangesArchived')).toSorted()).toEqual([
        expect.stringContaining('trading-1 gave up 1 change, UID 14,'),
        expect.stringContaining('trading-1 gave up 3 changes, UIDs 11 to 13,'),
      ]);
    }, withinMs);
    expect(await described()).toContain(tail.id);
  });

  test('whose journal waits for repair is named with file and reason, until it reports again', async () => {
    const message = 'The journal is damaged: frame 7 (log/00000001: record at offset 99). It waits for another member or the stream.';
    const { podUid } = await trading.report('trading-2');
    trading.silence('trading-2');
    const waiting = JSON.stringify({ podUid, reason: 'JournalDamaged', message });
    await trading.patch(leaseKind, 'trading-2', { metadata: { annotations: { [annotations.waiting]: waiting } } });
    await eventually(async () => {
      expect(await eventsOf('JournalDamaged')).toEqual([`JournalDamaged: trading-2: ${message}`]);
      expect((await objects.status('trading'))?.members?.[2]).toMatchObject({ phase: 'Starting', reason: 'JournalDamaged', message });
    }, withinMs);
    expect((await described()).replace(/\s+/g, ' ')).toContain('Reason: JournalDamaged');
    await trading.follow('trading-2', positionAt(1, 20));
    await eventually(async () => {
      expect((await objects.status('trading'))?.members?.[2]).toMatchObject({ phase: 'Following', ready: true });
    }, withinMs);
  });
});
