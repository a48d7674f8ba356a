// The objects of a cluster at a real API server: each is put back when it was deleted or edited by hand.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations, leaderLeaseName } from '../../common/names.ts';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { kindOf, namespacedPath, ownedKinds, podGroupKind, podMonitorKind } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { ClusterObjects, requestsOfOperator } from '../lib/cluster-objects.ts';
import { restrictedContainer } from '../lib/control-cluster.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, installPodMonitors, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

/** Drift is put back within this time. */
const driftMs = 5_000;
const withinMs = 20_000;
const namespace = 'default';
let server: ApiServer;
let api: KubeApi;
let operator: Operator;
let objects: ClusterObjects;

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  objects = new ClusterObjects(api, server, namespace);
  await installPodMonitors(server);
  operator = await runOperator(server);
  await createCluster(api, namespace, 'trading', { disasterRecovery: { replicas: 1 } });
  await eventually(async () => {
    expect((await objects.read('StatefulSet', 'trading-dr'))?.metadata.uid).toBeDefined();
  }, withinMs);
});
afterAll(async () => {
  await operator.stop();
  await server.stop();
});

const names: readonly [kind: string, name: string][] = [
  ['ConfigMap', 'trading-config'],
  ['Service', 'trading'],
  ['Service', 'trading-followers'],
  ['Service', 'trading-members'],
  ['ServiceAccount', 'trading'],
  ['ServiceAccount', 'trading-dr'],
  ['Role', 'trading'],
  ['Role', 'trading-dr'],
  ['RoleBinding', 'trading'],
  ['RoleBinding', 'trading-dr'],
  ['StatefulSet', 'trading'],
  ['StatefulSet', 'trading-dr'],
  ['PodDisruptionBudget', 'trading'],
  ['NetworkPolicy', 'trading'],
  ['PodGroup', 'trading'],
  ['PodMonitor', 'trading'],
  ['Lease', 'trading-leader'],
  ['Lease', 'trading-0'],
  ['Lease', 'trading-dr-0'],
];

describe('an object that was deleted', () => {
  test('of every kind that is watched is tried here', () => {
    const kinds = [...ownedKinds, podGroupKind, podMonitorKind].map(({ kind }) => kind);
    expect(new Set(names.map(([kind]) => kind))).toEqual(new Set(kinds));
  });

  test.each(names)('%s %s comes back', async (kind, name) => {
    const before = await objects.read(kind, name);
    await api.send('DELETE', namespacedPath(kindOf({ kind }), namespace, name));
    // The controller that takes this finalizer away does not run here.
    if (kind === 'PodGroup') await objects.edit(kind, name, { metadata: { finalizers: null } });
    await eventually(async () => {
      const now = await objects.read(kind, name);
      expect(now?.metadata.uid).not.toBe(before?.metadata.uid);
      expect(now?.metadata.uid).toBeDefined();
    }, driftMs);
  });
});

describe('an edit by hand', () => {
  const withoutLabels = { metadata: { labels: { 'app.kubernetes.io/managed-by': 'me', 'controlcluster.io/cluster': null } } };
  const edits: readonly [kind: string, name: string, body: object][] = [
    ...names.map(([kind, name]): [string, string, object] => [kind, name, withoutLabels]),
    ['ConfigMap', 'trading-config', { data: { 'failover.csv': 'elsewhere,5000\n' } }],
    ['Service', 'trading', { spec: { selector: { 'controlcluster.io/role': 'follower' } } }],
    ['Service', 'trading-members', { spec: { publishNotReadyAddresses: false } }],
    ['ServiceAccount', 'trading', { automountServiceAccountToken: true }],
    ['Role', 'trading-dr', { rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] }] }],
    ['RoleBinding', 'trading', { subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'mallory' }] }],
    ['StatefulSet', 'trading', { spec: { replicas: 1 } }],
    ['StatefulSet', 'trading', { spec: { template: { spec: { containers: [{ ...restrictedContainer, image: 'other:1' }] } } } }],
    ['PodDisruptionBudget', 'trading', { spec: { maxUnavailable: 3 } }],
    ['NetworkPolicy', 'trading', { spec: { ingress: [{}] } }],
    [
      'NetworkPolicy',
      'trading',
      {
        spec: {
          ingress: [
            {
              ports: [
                { port: 5000, protocol: 'TCP' },
                { port: 1, protocol: 'TCP' },
              ],
            },
          ],
        },
      },
    ],
    ['PodMonitor', 'trading', { spec: { podMetricsEndpoints: [{ port: 'other', path: '/metrics' }] } }],
    ['Lease', 'trading-leader', { metadata: { ownerReferences: null } }],
  ];

  test.each(edits)('of %s %s is put back: %j', async (kind, name, body) => {
    const before = await objects.read(kind, name);
    await objects.edit(kind, name, body);
    const content = ({ metadata, ...rest }: KubeObject) => ({
      labels: metadata.labels,
      owners: metadata.ownerReferences,
      ...rest,
      status: null,
    });
    await eventually(async () => {
      const now = await objects.read(kind, name);
      expect(now === null || before === null ? null : content(now)).toEqual(before === null ? undefined : content(before));
    }, driftMs);
  });

  test('leaves what others add alone: a container of an injector, the report and the round on a Lease', async () => {
    await objects.edit('Lease', leaderLeaseName('trading'), { metadata: { annotations: { [annotations.round]: 'kept' } } });
    await objects.edit('ConfigMap', 'trading-config', { data: { 'failover.csv': 'elsewhere,5000\n', own: 'kept' } });
    await eventually(async () => {
      const { data } = (await objects.read('ConfigMap', 'trading-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('trading-0');
      expect(data.own).toBe('kept');
    }, driftMs);
    expect((await objects.read('Lease', leaderLeaseName('trading')))?.metadata.annotations?.[annotations.round]).toBe('kept');
  });

  test('stays while the cluster is paused, and is put back after', async () => {
    await objects.edit('ControlCluster', 'trading', { metadata: { annotations: { [annotations.paused]: 'true' } } });
    await eventually(async () => {
      expect(await objects.condition('trading', 'Progressing')).toMatchObject({ status: 'False', reason: 'Paused' });
    }, withinMs);
    await objects.edit('PodDisruptionBudget', 'trading', { spec: { maxUnavailable: 2 } });
    // Seen by the operator, as the condition shows that it has looked again since.
    await objects.edit('ControlCluster', 'trading', { spec: { port: 5001 } });
    await eventually(async () => {
      expect(await objects.condition('trading', 'Progressing')).toMatchObject({ reason: 'Paused', observedGeneration: 2 });
    }, withinMs);
    expect((await objects.read('PodDisruptionBudget', 'trading'))?.spec).toMatchObject({ maxUnavailable: 2 });
    await objects.edit('ControlCluster', 'trading', { metadata: { annotations: { [annotations.paused]: null } } });
    await eventually(async () => {
      expect((await objects.read('PodDisruptionBudget', 'trading'))?.spec).toMatchObject({ maxUnavailable: 1 });
      expect((await objects.read('Service', 'trading'))?.spec).toMatchObject({ ports: [{ port: 5001 }] });
    }, driftMs);
  });

  test('of quantities that the API server writes in another form costs no further writes', async () => {
    const resources = { requests: { cpu: '0.5', memory: '1024Mi' } };
    await createCluster(api, namespace, 'forms', { template: { spec: { containers: [{ ...restrictedContainer, resources }] } } });
    await eventually(async () => {
      expect(await objects.read('StatefulSet', 'forms-dr')).not.toBeNull();
    }, withinMs);
    const applies = async () =>
      (await requestsOfOperator(server)).filter(
        ({ verb, objectRef }) => verb === 'patch' && objectRef?.resource === 'statefulsets' && objectRef.name === 'forms',
      );
    await objects.edit('ConfigMap', 'forms-config', { data: { 'failover.csv': '' } });
    await eventually(async () => {
      const { data } = (await objects.read('ConfigMap', 'forms-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('forms-0');
    }, driftMs);
    expect(await applies()).toHaveLength(1);
  });
});
