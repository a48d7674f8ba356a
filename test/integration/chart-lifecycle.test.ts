// The chart over time: install, upgrade from an earlier chart, uninstall, install again. ControlClusters and the volumes of NATS live through all of it.
// Runs against a real API server without nodes: what pods do is the matter of the end-to-end tests.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { chartDirectory, exampleFile, helm, kubectl, releaseNamespace, writeEarlierChart } from '../lib/chart.ts';

const crd = 'crd/controlclusters.controlcluster.io';
const shortNames = ['get', crd, '--output', 'jsonpath={.spec.names.shortNames}'];
/** A volume claim as the StatefulSet of NATS makes it; no controller runs here to do so. */
const natsClaim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data-nats-0, namespace: ${releaseNamespace} }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
`;

describe('a release of the chart', () => {
  let directory: string;
  let controlPlane: ControlPlane;
  const kube = async (args: readonly string[], input?: string): Promise<string> => kubectl(controlPlane.kubeconfig, args, input);
  const release = async (...args: string[]): Promise<void> => {
    const result = await helm([...args, '--namespace', releaseNamespace], controlPlane.kubeconfig);
    if (result.code !== 0) throw new Error(result.stderr);
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'controlcluster-release-'));
    controlPlane = await startControlPlane({ directory: join(directory, 'control-plane') });
  });
  afterAll(async () => {
    await controlPlane.stop();
    await rm(directory, { recursive: true, force: true });
  });

  /** The resource of the earlier chart had no short name. */
  async function earlierChart(): Promise<string> {
    const earlier = join(directory, 'earlier');
    const definitionFile = await writeEarlierChart(earlier);
    const definition = await readFile(definitionFile, 'utf8');
    const without = definition.replace(/^ +shortNames:\n( +- \w+\n)+/m, '');
    expect(without).not.toBe(definition);
    await writeFile(definitionFile, without);
    return earlier;
  }

  test('brings its resource, and upgrades it', async () => {
    await release('install', 'controlcluster', await earlierChart(), '--create-namespace');
    await kube(['wait', '--for=condition=Established', crd, '--timeout=60s']);
    expect(await kube(shortNames)).toBe('');
    await kube(['apply', '-f', exampleFile]);
    await kube(['apply', '-f', '-'], natsClaim);

    await release('upgrade', 'controlcluster', chartDirectory, '--set', 'nats.replicas=3');
    expect(await kube(shortNames)).toBe('["cc"]');
    expect(await kube(['get', 'controlclusters', '--output', 'name'])).toContain('/trading');
  });

  test('leaves ControlClusters and volumes when it is uninstalled, and finds them when it is installed again', async () => {
    await release('uninstall', 'controlcluster');
    expect(await kube(['get', 'deployments,statefulsets', '--namespace', releaseNamespace, '--output', 'name'])).toBe('');
    expect(await kube(['get', 'controlclusters,persistentvolumeclaims', '--all-namespaces', '--output', 'name'])).toMatch(
      /trading\npersistentvolumeclaim\/data-nats-0/,
    );

    await release('install', 'controlcluster', chartDirectory);
    expect(await kube(['get', 'deployments', '--namespace', releaseNamespace, '--output', 'name'])).toContain('controlcluster-operator');
  });
});
