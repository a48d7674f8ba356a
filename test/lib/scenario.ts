// A scenario on the bundled cluster: the chart installed, a namespace with a cluster of its own, and artifacts of what fails.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { checkout, logDirectory } from '../cluster/state.ts';
import { installed, systemNamespace } from './installation.ts';
import { attemptKubectl } from './kubectl.ts';
import { LiveCluster } from './live-cluster.ts';

const artifacts = join(checkout, 'artifacts', 'e2e');

type Step = (name: string, run: () => Promise<void>) => void;

/** Steps run in order, as tests of one `describe`. A step that fails leaves logs, Events, resources and Leases under `artifacts/e2e`. */
export function scenario(name: string, define: (cluster: LiveCluster, step: Step) => void): void {
  const slug = slugOf(name);
  // A stream outlives its namespace: a run after the other does not meet it.
  const cluster = new LiveCluster(`${slug}-${Date.now().toString(36)}`);
  describe(name, () => {
    const attempting = async (title: string, run: () => Promise<void>): Promise<void> => {
      try {
        await run();
      } catch (error) {
        await saveArtifacts(cluster, join(artifacts, slug, slugOf(title)));
        throw error;
      }
    };
    beforeAll(() =>
      attempting('preparation', async () => {
        await installed();
        await cluster.createNamespace();
      }),
    );
    afterAll(() => cluster.remove());
    define(cluster, (title, run) => {
      test(title, () => attempting(title, run));
    });
  });
}

/** Prints something measured: orientation, never a verdict. */
export function figure(what: string, value: number, unit = 'ms'): void {
  process.stdout.write(`figure: ${what}: ${value.toFixed(0)} ${unit}\n`);
}

const slugOf = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
    .replaceAll(/^-|-$/g, '');

const kinds = 'controlclusters,pods,statefulsets,leases,services,endpointslices,persistentvolumeclaims,configmaps';

/** What helps to understand a failure: all that Kubernetes knows of the namespace, all logs, and those of its own components with the API server's audit. */
async function saveArtifacts(cluster: LiveCluster, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const save = async (file: string, args: readonly string[]): Promise<void> => {
    const { stdout, stderr } = await attemptKubectl(args);
    await writeFile(join(directory, file), stdout + stderr);
  };
  const here = ['--namespace', cluster.namespace];
  const system = ['--namespace', systemNamespace];
  await save('resources.yaml', [...here, 'get', kinds, '--output', 'yaml']);
  await save('events.txt', ['get', 'events', '--all-namespaces', '--sort-by=.lastTimestamp']);
  await save('nodes.yaml', ['get', 'nodes', '--output', 'yaml']);
  await save('system-pods.txt', [...system, 'get', 'pods', '--output', 'wide']);
  for (const part of ['operator', 'nats'])
    await save(`${part}.log`, [...system, 'logs', '--selector', `app.kubernetes.io/component=${part}`, '--tail=-1', '--prefix']);
  const { stdout: pods } = await attemptKubectl([...here, 'get', 'pods', '--output', 'name']);
  for (const pod of pods.split('\n').filter((line) => line !== '')) {
    const file = pod.replace('pod/', '');
    await save(`${file}.log`, [...here, 'logs', pod, '--all-containers', '--prefix']);
    await save(`${file}-before.log`, [...here, 'logs', pod, '--all-containers', '--prefix', '--previous']);
  }
  await cp(logDirectory, join(directory, 'components'), { recursive: true });
}
