// The objects of a cluster at a real API server: each is put back when it was deleted or edited by hand; what the API server refuses is said, and asked seldom.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations, leaderLeaseName } from '../../common/names.ts';
import { controlClusterSchema } from '../../common/schema.ts';
import { mergePatch, type KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { kindOf, namespacedPath, podGroupKind, ownedKinds } from '../../operator/controller/resource-kind.ts';
import { digestOf } from '../../operator/core/drift.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { restrictedContainer } from '../lib/control-cluster.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, operatorUser, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

/** Drift is put back within this time. */
const driftMs = 5_000;
const withinMs = 20_000;
const namespace = 'default';
let server: ApiServer;
let api: KubeApi;
let operator: Operator;

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  operator = await runOperator(server);
  await createCluster(api, namespace, 'trading', { disasterRecovery: { replicas: 1 } });
  await eventually(async () => {
    expect((await read('StatefulSet', 'trading-dr'))?.metadata.uid).toBeDefined();
  }, withinMs);
});
afterAll(async () => {
  await operator.stop();
  await server.stop();
});

async function read(kind: string, name: string): Promise<KubeObject | null> {
  const answer = await api.send('GET', namespacedPath(kindOf({ kind }), namespace, name));
  return answer.kind === 'ok' ? (answer.body as KubeObject) : null;
}

async function edit(kind: string, name: string, body: object): Promise<void> {
  const path = namespacedPath(kindOf({ kind }), namespace, name);
  const answer = await api.send('PATCH', path, { body, contentType: mergePatch, query: { fieldManager: 'by-hand' } });
  if (answer.kind === 'refused') throw new Error(answer.message);
}

const conditionOf = async (name: string, type: string) =>
  controlClusterSchema.parse(await read('ControlCluster', name)).status?.conditions?.find((one) => one.type === type);

async function eventReasons(name: string): Promise<string[]> {
  const answer = await server.kubectl(['get', 'events.events.k8s.io', '-n', namespace, '-o', 'json']);
  const { items } = JSON.parse(answer.stdout) as { items: { reason: string; note: string; regarding: { name: string } }[] };
  return items.filter(({ regarding }) => regarding.name === name).map(({ reason, note }) => `${reason}: ${note}`);
}

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
  ['Lease', 'trading-leader'],
  ['Lease', 'trading-0'],
  ['Lease', 'trading-dr-0'],
];

describe('an object that was deleted', () => {
  test('of every kind that is watched is tried here', () => {
    const kinds = [...ownedKinds, podGroupKind].map(({ kind }) => kind);
    expect(new Set(names.map(([kind]) => kind))).toEqual(new Set(kinds));
  });

  test.each(names)('%s %s comes back', async (kind, name) => {
    const before = await read(kind, name);
    await api.send('DELETE', namespacedPath(kindOf({ kind }), namespace, name));
    // The controller that takes this finalizer away does not run here.
    if (kind === 'PodGroup') await edit(kind, name, { metadata: { finalizers: null } });
    await eventually(async () => {
      const now = await read(kind, name);
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
    ['Lease', 'trading-leader', { metadata: { ownerReferences: null } }],
  ];

  test.each(edits)('of %s %s is put back: %j', async (kind, name, body) => {
    const before = await read(kind, name);
    await edit(kind, name, body);
    const content = ({ metadata, ...rest }: KubeObject) => ({
      labels: metadata.labels,
      owners: metadata.ownerReferences,
      ...rest,
      status: null,
    });
    await eventually(async () => {
      const now = await read(kind, name);
      expect(now === null || before === null ? null : content(now)).toEqual(before === null ? undefined : content(before));
    }, driftMs);
  });

  test('leaves what others add alone: a container of an injector, the report and the round on a Lease', async () => {
    await edit('Lease', leaderLeaseName('trading'), { metadata: { annotations: { [annotations.round]: 'kept' } } });
    await edit('ConfigMap', 'trading-config', { data: { 'failover.csv': 'elsewhere,5000\n', own: 'kept' } });
    await eventually(async () => {
      const { data } = (await read('ConfigMap', 'trading-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('trading-0');
      expect(data.own).toBe('kept');
    }, driftMs);
    expect((await read('Lease', leaderLeaseName('trading')))?.metadata.annotations?.[annotations.round]).toBe('kept');
  });

  test('stays while the cluster is paused, and is put back after', async () => {
    await edit('ControlCluster', 'trading', { metadata: { annotations: { [annotations.paused]: 'true' } } });
    await eventually(async () => {
      expect(await conditionOf('trading', 'Progressing')).toMatchObject({ status: 'False', reason: 'Paused' });
    }, withinMs);
    await edit('PodDisruptionBudget', 'trading', { spec: { maxUnavailable: 2 } });
    // Seen by the operator, as the condition shows that it has looked again since.
    await edit('ControlCluster', 'trading', { spec: { port: 5001 } });
    await eventually(async () => {
      expect(await conditionOf('trading', 'Progressing')).toMatchObject({ reason: 'Paused', observedGeneration: 2 });
    }, withinMs);
    expect((await read('PodDisruptionBudget', 'trading'))?.spec).toMatchObject({ maxUnavailable: 2 });
    await edit('ControlCluster', 'trading', { metadata: { annotations: { [annotations.paused]: null } } });
    await eventually(async () => {
      expect((await read('PodDisruptionBudget', 'trading'))?.spec).toMatchObject({ maxUnavailable: 1 });
      expect((await read('Service', 'trading'))?.spec).toMatchObject({ ports: [{ port: 5001 }] });
    }, driftMs);
  });

  test('of quantities that the API server writes in another form costs no further writes', async () => {
    const resources = { requests: { cpu: '0.5', memory: '1024Mi' } };
    await createCluster(api, namespace, 'forms', { template: { spec: { containers: [{ ...restrictedContainer, resources }] } } });
    await eventually(async () => {
      expect(await read('StatefulSet', 'forms-dr')).not.toBeNull();
    }, withinMs);
    const applies = () =>
      requestsOfOperator(({ verb, objectRef }) => verb === 'patch' && objectRef?.resource === 'statefulsets' && objectRef.name === 'forms');
    await edit('ConfigMap', 'forms-config', { data: { 'failover.csv': '' } });
    await eventually(async () => {
      const { data } = (await read('ConfigMap', 'forms-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('forms-0');
    }, driftMs);
    expect(await applies()).toHaveLength(1);
  });
});

describe('what cannot be made', () => {
  test('is a condition and an Event with the reason, for a template without a container name', async () => {
    await createCluster(api, namespace, 'nameless', { template: { spec: { containers: [{ image: 'example/control:1' }] } } });
    await expectTrouble('nameless', /name/);
    expect(await read('StatefulSet', 'nameless')).toBeNull();
  });

  test('is a condition and an Event in the words of the API server, and is asked for seldom', async () => {
    const container = { ...restrictedContainer, resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } };
    await createCluster(api, namespace, 'refused', { template: { spec: { containers: [container] } } });
    await expectTrouble('refused', /StatefulSet refused: .*must be less than or equal to memory limit/);
    // Whatever else happens to the cluster does not make the operator ask again.
    for (const port of [6001, 6002, 6003]) await edit('ConfigMap', 'refused-config', { data: { own: String(port) } });
    await edit('ConfigMap', 'refused-config', { data: { 'failover.csv': '' } });
    await eventually(async () => {
      const { data } = (await read('ConfigMap', 'refused-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('refused-0');
    }, driftMs);
    const asked = await requestsOfOperator(
      ({ verb, objectRef }) => verb === 'patch' && objectRef?.name === 'refused' && objectRef.resource === 'statefulsets',
    );
    expect(asked).toHaveLength(1);

    await edit('ControlCluster', 'refused', { spec: { template: { spec: { containers: [restrictedContainer] } } } });
    await eventually(async () => {
      expect(await read('StatefulSet', 'refused')).not.toBeNull();
      expect(await conditionOf('refused', 'Progressing')).toMatchObject({ reason: 'Settled' });
    }, withinMs);
  });

  test('is a condition when the name belongs to an object of somebody else, which is left alone', async () => {
    const theirs = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'taken', namespace }, spec: { ports: [{ port: 80 }] } };
    await api.send('POST', namespacedPath(kindOf(theirs), namespace), { body: theirs });
    await createCluster(api, namespace, 'taken');
    await expectTrouble('taken', /Service taken: .*belongs to something else/);
    expect(digestOf((await read('Service', 'taken')) ?? { apiVersion: '', kind: '', metadata: { name: '' } })).toBe('');
    expect(await read('StatefulSet', 'taken')).not.toBeNull();
  });
});

async function expectTrouble(name: string, words: RegExp): Promise<void> {
  await eventually(async () => {
    const progressing = await conditionOf(name, 'Progressing');
    expect(progressing?.status).toBe('False');
    expect(progressing?.message).toMatch(words);
    expect((await eventReasons(name)).filter((event) => words.test(event))).toHaveLength(1);
  }, withinMs);
}

interface AuditEntry {
  readonly verb: string;
  readonly impersonatedUser?: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly name?: string; readonly namespace?: string };
}

async function requestsOfOperator(filter: (entry: AuditEntry) => boolean): Promise<AuditEntry[]> {
  const lines = (await readFile(server.auditLog, 'utf8')).split('\n').filter((line) => line !== '');
  const entries = lines.map((line) => JSON.parse(line) as AuditEntry);
  return entries.filter((entry) => entry.impersonatedUser?.username === operatorUser && filter(entry));
}
