// What a real API server refuses the operator is said, as a condition and an Event in the API server's words, and is asked for seldom.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { kindOf, namespacedPath } from '../../operator/controller/resource-kind.ts';
import { digestOf } from '../../operator/core/drift.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { ClusterObjects, requestsOfOperator } from '../lib/cluster-objects.ts';
import { restrictedContainer } from '../lib/control-cluster.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, operatorUser, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

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
  operator = await runOperator(server);
});
afterAll(async () => {
  await operator.stop();
  await server.stop();
});

const template = (container: object) => ({ template: { spec: { containers: [{ ...restrictedContainer, ...container }] } } });

async function expectTrouble(name: string, words: RegExp, where = objects): Promise<void> {
  await eventually(async () => {
    const progressing = await where.condition(name, 'Progressing');
    expect(progressing?.status).toBe('False');
    expect(progressing?.message).toMatch(words);
    expect((await where.events(name)).filter((event) => words.test(event))).toHaveLength(1);
  }, withinMs);
}

async function expectSettled(name: string, where = objects): Promise<void> {
  await eventually(async () => {
    expect(await where.read('StatefulSet', name)).not.toBeNull();
    expect(await where.condition(name, 'Progressing')).toMatchObject({ reason: 'Settled' });
  }, withinMs);
}

async function apply(object: object): Promise<void> {
  const applied = await server.kubectl(['apply', '--filename=-'], object);
  if (applied.code !== 0) throw new Error(applied.stderr);
}

describe('what cannot be made', () => {
  test('is a condition and an Event with the reason, for a template without a container name', async () => {
    await createCluster(api, namespace, 'nameless', { template: { spec: { containers: [{ image: 'example/control:1' }] } } });
    await expectTrouble('nameless', /name/);
    expect(await objects.read('StatefulSet', 'nameless')).toBeNull();
  });

  test.each<[string, string, object, RegExp]>([
    ['typo', 'a misspelt field', { imagee: 'example/control:2' }, /StatefulSet typo: .*imagee/],
    [
      'twice',
      'a variable that is there twice',
      {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
      /StatefulSet twice: .*duplicate entries/,
    ],
    ['mistyped', 'a text in place of a number', { terminationMessagePath: 7 }, /StatefulSet mistyped: .*terminationMessagePath/],
  ])('is said in the words of the API server, and made when it is corrected: %s, %s', async (name, _, container, words) => {
    await createCluster(api, namespace, name, template(container));
    await expectTrouble(name, words);
    await objects.edit('ControlCluster', name, { spec: template({}) });
    await expectSettled(name);
  });

  test('is asked for seldom', async () => {
    await createCluster(api, namespace, 'refused', template({ resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } }));
    await expectTrouble('refused', /StatefulSet refused: .*must be less than or equal to memory limit/);
    // Whatever else happens to the cluster does not make the operator ask again.
    for (const port of [6001, 6002, 6003]) await objects.edit('ConfigMap', 'refused-config', { data: { own: String(port) } });
    await objects.edit('ConfigMap', 'refused-config', { data: { 'failover.csv': '' } });
    await eventually(async () => {
      const { data } = (await objects.read('ConfigMap', 'refused-config')) as unknown as { data: Record<string, string> };
      expect(data['failover.csv']).toContain('refused-0');
    }, withinMs);
    const asked = (await requestsOfOperator(server)).filter(
      ({ verb, objectRef }) => verb === 'patch' && objectRef?.name === 'refused' && objectRef.resource === 'statefulsets',
    );
    expect(asked).toHaveLength(1);
    await objects.edit('ControlCluster', 'refused', { spec: template({}) });
    await expectSettled('refused');
  });

  test('is a condition when the name belongs to an object of somebody else, which is left alone', async () => {
    const theirs = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'taken', namespace }, spec: { ports: [{ port: 80 }] } };
    await api.send('POST', namespacedPath(kindOf(theirs), namespace), { body: theirs });
    await createCluster(api, namespace, 'taken');
    await expectTrouble('taken', /Service taken: .*belongs to something else/);
    expect(digestOf((await objects.read('Service', 'taken')) ?? { apiVersion: '', kind: '', metadata: { name: '' } })).toBe('');
    expect(await objects.read('StatefulSet', 'taken')).not.toBeNull();
  });

  test('is said when an admission webhook fails, and made when it no longer does', async () => {
    const hooked = new ClusterObjects(api, server, 'hooked');
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'hooked', labels: { hooked: 'yes' } } });
    const webhook = {
      name: 'nobody.example.org',
      clientConfig: { url: 'https://127.0.0.1:1/' },
      namespaceSelector: { matchLabels: { hooked: 'yes' } },
      rules: [{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['statefulsets'], operations: ['CREATE'] }],
      ...{ sideEffects: 'None', admissionReviewVersions: ['v1'], failurePolicy: 'Fail' },
    };
    const configuration = { kind: 'ValidatingWebhookConfiguration', metadata: { name: 'nobody' }, webhooks: [webhook] };
    await apply({ apiVersion: 'admissionregistration.k8s.io/v1', ...configuration });
    await createCluster(api, 'hooked', 'trading');
    await expectTrouble('trading', /StatefulSet trading: .*failed calling webhook/, hooked);
    await server.kubectl(['delete', 'validatingwebhookconfiguration', 'nobody']);
    await expectSettled('trading', hooked);
  });
});

test('a deletion that is denied is a condition and an Event, and the rest goes on', async () => {
  await createCluster(api, namespace, 'kept', { disasterRecovery: { replicas: 1 } });
  await expectSettled('kept');
  const rules = [{ apiGroups: ['coordination.k8s.io'], apiVersions: ['v1'], resources: ['leases'], operations: ['DELETE'] }];
  const validations = [{ expression: `request.userInfo.username != '${operatorUser}'`, message: 'nobody deletes', reason: 'Forbidden' }];
  const policy = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'keep' } };
  await apply({ ...policy, kind: 'ValidatingAdmissionPolicy', spec: { matchConstraints: { resourceRules: rules }, validations } });
  await apply({ ...policy, kind: 'ValidatingAdmissionPolicyBinding', spec: { policyName: 'keep', validationActions: ['Deny'] } });
  // The API server takes a moment until it knows its new policy.
  await eventually(async () => {
    const tried = await server.kubectl(['delete', 'lease', 'kept-leader', '-n', namespace, '--dry-run=server', `--as=${operatorUser}`]);
    expect(tried.stderr).toContain('nobody deletes');
  }, withinMs);
  await objects.edit('ControlCluster', 'kept', { spec: { disasterRecovery: { replicas: 0 }, port: 6000 } });
  await expectTrouble('kept', /Lease kept-dr-0: .*nobody deletes/);
  await eventually(async () => {
    expect((await objects.read('Service', 'kept'))?.spec).toMatchObject({ ports: [{ port: 6000 }] });
  }, withinMs);
});
