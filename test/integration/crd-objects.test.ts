// The objects of a cluster at a real API server: it takes them all, applying them again changes nothing, and pods pass Pod Security `restricted`.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubernetesObject, V1Pod, V1PodSpec, V1StatefulSet } from '@kubernetes/client-node';
import { dataVolume } from '../../common/names.ts';
import { desiredObjects } from '../../operator/resources/desired.ts';
import type { Plain } from '../../operator/resources/user-template.ts';
import { startApiServer } from '../lib/api-server.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { controlCluster, restrictedContainer, sidecarSettings } from '../lib/control-cluster.ts';

const namespace = 'desk';
let server: ApiServer;
beforeAll(async () => {
  server = await startApiServer();
  await kubectl(['create', 'namespace', namespace]);
  await kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted']);
});
afterAll(async () => {
  await server.stop();
});

/** Standard output; throws with what kubectl said when it failed. */
async function kubectl(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stdout, stderr } = await server.kubectl([`--namespace=${namespace}`, ...args], input);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** Builds the objects of a cluster with this name and specification, and applies them as the operator does. */
async function apply(name: string, spec: object): Promise<KubernetesObject[]> {
  const cluster = controlCluster(spec, { name });
  const desired = desiredObjects(cluster, { podGroups: true, podMonitors: false }, sidecarSettings);
  if ('invalid' in desired) throw new Error(desired.invalid.message);
  await kubectl(['apply', '--server-side', '--field-manager=controlcluster', '--filename=-'], {
    apiVersion: 'v1',
    kind: 'List',
    items: desired.objects,
  });
  return desired.objects;
}

/** `kind/name` of each object, with what changes when it is written. */
async function versions(objects: readonly KubernetesObject[]): Promise<Record<string, string | undefined>> {
  const found = JSON.parse(
    await kubectl(['get', ...objects.map(({ kind, metadata }) => `${kind ?? ''}/${metadata?.name ?? ''}`), '--output=json']),
  ) as { items: KubernetesObject[] };
  return Object.fromEntries(found.items.map(({ kind, metadata }) => [`${kind ?? ''}/${metadata?.name ?? ''}`, metadata?.resourceVersion]));
}

/** The pod that each StatefulSet among the objects would make, as the API server would take it. */
async function pods(objects: readonly KubernetesObject[]): Promise<V1Pod[]> {
  const made: V1Pod[] = [];
  for (const set of objects.filter(({ kind }) => kind === 'StatefulSet') as V1StatefulSet[]) {
    const { metadata, spec }: { metadata?: object; spec?: Plain<V1PodSpec> } = set.spec?.template ?? {};
    const name = `${set.metadata?.name ?? ''}-0`;
    const claim = { name: dataVolume, persistentVolumeClaim: { claimName: `${dataVolume}-${name}` } };
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name },
      spec: { ...spec, volumes: [...(spec?.volumes ?? []), claim] },
    };
    made.push(JSON.parse(await kubectl(['create', '--dry-run=server', '--output=json', '--filename=-'], pod)) as V1Pod);
  }
  return made;
}

const full = {
  members: 5,
  preferredLeader: 'full-2',
  disasterRecovery: { replicas: 2, nodeSelector: { region: 'dr' }, tolerations: [{ key: 'dr', operator: 'Exists' }] },
  startup: { policy: 'Quorum' },
  replication: { nats: { url: 'tls://nats:4222', replicas: 3, credentialsSecret: 'login', tlsSecret: 'ca' } },
  storage: { size: '1Gi', storageClassName: 'fast' },
  template: {
    metadata: { labels: { team: 'fx' }, annotations: { note: 'a' } },
    spec: {
      containers: [{ ...restrictedContainer, ports: [{ containerPort: 8080, name: 'ui' }], env: [{ name: 'MODE', value: 'x' }] }],
      initContainers: [{ ...restrictedContainer, name: 'prepare' }],
      volumes: [{ name: 'scratch', emptyDir: {} }],
    },
  },
};

describe.each([
  ['smallest', {}],
  ['full', full],
])('the objects of the %s cluster', (name, spec) => {
  test('are taken, and not written again when they are applied again', async () => {
    const before = await versions(await apply(name, spec));
    expect(Object.keys(before).length).toBeGreaterThan(15);
    expect(await versions(await apply(name, spec))).toEqual(before);
  });

  test('include pods that pass Pod Security restricted', async () => {
    const made = await pods(await apply(name, spec));
    expect(made).toHaveLength(2);
    for (const { spec: pod } of made)
      expect([...(pod?.initContainers ?? []), ...(pod?.containers ?? [])].map((container) => container.name)).toContain('controlcluster');
  });
});

test('Pod Security refuses the pods of a template that breaks it', async () => {
  const template = { spec: { containers: [{ name: 'control', image: 'example/control:1' }] } };
  await expect(apply('unsafe', { template }).then(pods)).rejects.toThrow(/violates PodSecurity "restricted.*container "control"/);
});

describe('an apply', () => {
  test('leaves to the sidecars what they wrote into their Leases', async () => {
    await apply('leases', {});
    const written = {
      spec: { holderIdentity: 'leases-1_uid_session', leaseDurationSeconds: 6 },
      metadata: { annotations: { 'controlcluster.io/round': '{}' } },
    };
    await kubectl(['patch', 'lease/leases-leader', '--type=merge', `--patch=${JSON.stringify(written)}`]);
    await apply('leases', { port: 6000 });
    expect(JSON.parse(await kubectl(['get', 'lease/leases-leader', '--output=json']))).toMatchObject(written);
  });

  test.each([
    ['another template', { template: full.template }],
    ['no template', {}],
    ['another port', { port: 6000 }],
    ['disaster-recovery replicas', { disasterRecovery: { replicas: 2 } }],
    ['another start policy', { startup: { policy: 'Quorum' } }],
    ['another timing and other NATS servers', { election: { leaseDuration: '9s' }, replication: full.replication }],
    ['another preferred leader', { preferredLeader: 'changing-1' }],
  ])('takes %s in a cluster that exists', async (_, spec) => {
    await apply('changing', { template: { spec: { containers: [restrictedContainer] } } });
    await expect(apply('changing', spec)).resolves.toBeDefined();
  });
});
