// The chart: lint, what it renders, what its schema refuses, and whether a real API server takes all of it.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { controlClusterSchema } from '../../common/schema.ts';
import { desiredObjects } from '../../operator/resources/desired.ts';
import { defaultSidecarResources } from '../../operator/resources/sidecar-container.ts';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { chartDirectory, crdFile, exampleFile, helm, kubectl, releaseNamespace, renderChart, type Manifest } from '../lib/chart.ts';

const names = (objects: readonly Manifest[]): string[] => objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
const natsConfig = (objects: readonly Manifest[]): string => {
  const map = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'nats');
  return (map?.['data'] as Record<string, string> | undefined)?.['nats.conf'] ?? '';
};
interface WorkloadSpec {
  readonly template: { readonly spec: { readonly volumes?: readonly object[] } };
  readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
}
const threeServers = ['--set', 'nats.replicas=3'];

describe('the chart renders', () => {
  test('without a complaint of helm lint', async () => {
    const result = await helm(['lint', '--strict', chartDirectory]);
    expect(`${result.stdout}${result.stderr}`).toContain('0 chart(s) failed');
    expect(result.code).toBe(0);
  });

  test('the CRD as it is in crds/, marked to be kept', async () => {
    const { objects } = await renderChart();
    const crd = objects.find(({ kind }) => kind === 'CustomResourceDefinition');
    expect(crd?.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
    const { annotations: _, ...metadata } = crd?.metadata ?? { name: '' };
    expect({ ...crd, metadata }).toEqual(parse(await readFile(crdFile, 'utf8')));
  });

  test('one NATS server that syncs before it acknowledges', async () => {
    const { objects } = await renderChart();
    expect(natsConfig(objects)).toContain('sync_interval: always');
    expect(natsConfig(objects)).not.toContain('routes');
    expect(names(objects)).not.toContain('PodDisruptionBudget/nats');
  });

  test('three NATS servers that know each other', async () => {
    const { objects } = await renderChart(...threeServers);
    for (const ordinal of ['0', '1', '2'])
      expect(natsConfig(objects)).toContain(`nats-${ordinal}.nats-headless.${releaseNamespace}.svc:6222`);
    expect(names(objects)).toContain('PodDisruptionBudget/nats');
  });

  test('no NATS when another one is used, and tests that one when it is told where it is', async () => {
    const own = ['--set', 'nats.enabled=false'];
    const { objects } = await renderChart(...own);
    expect(names(objects).filter((name) => name.includes('nats'))).toEqual([]);
    expect(names(objects)).not.toContain('ControlCluster/controlcluster-test');
    const { text } = await renderChart(...own, '--set', 'test.natsUrl=nats://mine.example:4222');
    expect(text).toContain('url: nats://mine.example:4222');
  });

  test('images by their digests', async () => {
    const digest = `sha256:${'0a'.repeat(32)}`;
    const { text } = await renderChart(...['operator', 'sidecar', 'nats'].flatMap((part) => ['--set', `${part}.image.digest=${digest}`]));
    for (const image of ['controlcluster/operator:0.1.0', 'controlcluster/sidecar:0.1.0', 'docker.io/library/nats:2.15.2-alpine'])
      expect(text).toContain(`${image}@${digest}`);
  });

  test('quantities that are numbers as the texts that the operator reads', async () => {
    const { text } = await renderChart('--set', 'sidecar.resources.limits.cpu=1', '--set', 'sidecar.resources.requests.memory=134217728');
    const variable = /name: CC_SIDECAR_RESOURCES, value: (".*") }/.exec(text)?.[1] ?? '""';
    expect(JSON.parse(JSON.parse(variable) as string)).toEqual({
      requests: { cpu: '50m', memory: '134217728' },
      limits: { cpu: '1' },
    });
  });

  test('the cluster of helm test with the pull secrets of the release', async () => {
    const { objects } = await renderChart('--set', 'imagePullSecrets[0].name=registry');
    const cluster = objects.find(({ kind }) => kind === 'ControlCluster');
    expect(cluster?.['spec']).toMatchObject({ template: { spec: { imagePullSecrets: [{ name: 'registry' }] } } });
  });

  test('nothing without its CRDs, where a checkout has made a file of the link to them', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'controlcluster-chart-'));
    try {
      await cp(chartDirectory, copy, { recursive: true });
      await rm(join(copy, 'files', 'crds'));
      await writeFile(join(copy, 'files', 'crds'), '../../../crds');
      expect((await helm(['template', copy])).stderr).toContain('The chart lacks its CustomResourceDefinitions');
      expect((await helm(['template', copy, '--set', 'crds.install=false'])).code).toBe(0);
    } finally {
      await rm(copy, { recursive: true });
    }
  });
});

describe('the schema of the values refuses', () => {
  test.each([
    ['nats.replicas=2', '/nats/replicas'],
    ['operator.replicas=0', '/operator/replicas'],
    ['operator.replica=2', 'replica'],
    ['nats.storage.size=10', '/nats/storage/size'],
    ['sidecar.logLevel=loud', '/sidecar/logLevel'],
    ['sidecar.image.pullPolicy=Sometimes', '/sidecar/image/pullPolicy'],
    ['nats.credentialsSecret=Not_A_Name', '/nats/credentialsSecret'],
    ['crds.install=maybe', '/crds/install'],
    ['test.members=2', '/test/members'],
    ['test.natsUrl=mine', '/test/natsUrl'],
    ['operator.image.digest=0.1.0', '/operator/image/digest'],
    ['nats.resources.limits.cpu=one', '/nats/resources/limits/cpu'],
    ['nats.resources.limits.cpu=-1', '/nats/resources/limits/cpu'],
  ])('%s, and names the field', async (value, field) => {
    await expect(renderChart('--set', value)).rejects.toThrow(field);
  });
});

describe('a real API server', () => {
  let directory: string;
  let controlPlane: ControlPlane;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'controlcluster-chart-'));
    controlPlane = await startControlPlane({ directory });
    await kubectl(controlPlane.kubeconfig, ['create', 'namespace', releaseNamespace]);
    await kubectl(controlPlane.kubeconfig, ['label', 'namespace', releaseNamespace, 'pod-security.kubernetes.io/enforce=restricted']);
    // No controller makes the first, and no dry run the others, of which pods are refused without.
    for (const account of ['default', 'controlcluster-operator', 'controlcluster-test-client'])
      await kubectl(controlPlane.kubeconfig, ['create', 'serviceaccount', account, '--namespace', releaseNamespace]);
    await kubectl(controlPlane.kubeconfig, ['apply', '--server-side', '-f', crdFile]);
    await kubectl(controlPlane.kubeconfig, [
      'wait',
      '--for=condition=Established',
      'crd/controlclusters.controlcluster.io',
      '--timeout=60s',
    ]);
  });
  afterAll(async () => {
    await controlPlane.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const dryRun = ['apply', '--server-side', '--dry-run=server', '--force-conflicts', '--validate=strict', '-f', '-'];

  test.each([
    ['one NATS server', []],
    ['three NATS servers with credentials', [...threeServers, '--set', 'nats.credentialsSecret=nats-auth']],
    ['NATS elsewhere', ['--set', 'nats.enabled=false']],
    ['numbers for quantities', ['--set', 'operator.resources.limits.cpu=0.5', '--set', 'nats.resources.limits.memory=536870912']],
    ['pull secrets', ['--set', 'imagePullSecrets[0].name=registry']],
  ])('takes every object, with %s', async (_, options) => {
    const { text, objects } = await renderChart(...options);
    const answer = await kubectl(controlPlane.kubeconfig, dryRun, text);
    expect(answer.trim().split('\n')).toHaveLength(objects.length);
  });

  test('admits every pod under the restricted Pod Security Standard', async () => {
    const { objects } = await renderChart(...threeServers);
    const templates = objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
    for (const { metadata, spec } of templates) {
      const { template, volumeClaimTemplates } = spec as WorkloadSpec;
      const claimed = (volumeClaimTemplates ?? []).map((claim) => ({ name: claim.metadata.name, emptyDir: {} }));
      const volumes = [...(template.spec.volumes ?? []), ...claimed];
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: metadata.name, namespace: releaseNamespace },
        spec: { ...template.spec, volumes },
      };
      const answer = await kubectl(controlPlane.kubeconfig, dryRun, stringify(pod));
      expect(answer).toContain(`pod/${metadata.name}`);
    }
    expect(templates).toHaveLength(2);
  });

  test('lets the operator make all that a ControlCluster needs, what it grants to sidecars included', async () => {
    const { text } = await renderChart('--show-only', 'templates/operator/access.yaml');
    await kubectl(controlPlane.kubeconfig, ['apply', '--server-side', '-f', '-'], text);
    const cluster = controlClusterSchema.parse({
      ...(parse(await readFile(exampleFile, 'utf8')) as object),
      metadata: { name: 'trading', namespace: 'default', uid: '8a2cd9a5-5d0f-4e3b-9d86-8a2a6f6c1f10' },
    });
    const desired = desiredObjects(
      cluster,
      { podGroups: true, podMonitors: false },
      {
        sidecarImage: 'controlcluster/sidecar:dev',
        imagePullPolicy: 'IfNotPresent',
        sidecarLogLevel: 'info',
        sidecarResources: defaultSidecarResources,
      },
    );
    if (!('objects' in desired)) throw new Error(desired.invalid.message);
    const documents = desired.objects.map((object) => stringify(object)).join('---\n');
    const operator = `system:serviceaccount:${releaseNamespace}:controlcluster-operator`;
    const answer = await kubectl(controlPlane.kubeconfig, ['apply', '--server-side', '-f', '-', '--as', operator], documents);
    expect(answer.trim().split('\n')).toHaveLength(desired.objects.length);
  });
});
