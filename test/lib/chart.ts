// The chart as the tests use it: rendered by the helm of the bundled cluster, applied by its kubectl. Knows nothing of nodes or pods.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { binary } from '../cluster/build.ts';
import { attempt, run, type CommandResult } from '../cluster/command.ts';

const root = join(import.meta.dirname, '..', '..');
export const chartDirectory = join(root, 'charts', 'controlcluster');
export const crdFile = join(root, 'crds', 'controlcluster.io_controlclusters.yaml');
export const exampleFile = join(root, 'examples', 'trading.yaml');
export const releaseNamespace = 'controlcluster-system';

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly [field: string]: unknown;
}

/** Makes the chart as it could have been before, under another version; returns where its CRD is. */
export async function writeEarlierChart(directory: string): Promise<string> {
  await cp(chartDirectory, directory, { recursive: true, dereference: true });
  const file = join(directory, 'Chart.yaml');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^version: .*$/m, 'version: 0.0.1'));
  return join(directory, 'files', 'crds', basename(crdFile));
}

export async function helm(args: readonly string[], kubeconfig?: string): Promise<CommandResult> {
  return attempt(await binary('helm'), args, kubeconfig === undefined ? {} : { env: { KUBECONFIG: kubeconfig } });
}

/** What helm would apply, hooks included. Throws with helm's words when it refuses. */
export async function renderChart(...options: string[]): Promise<{ text: string; objects: Manifest[] }> {
  const text = await run(await binary('helm'), ['template', 'controlcluster', chartDirectory, '--namespace', releaseNamespace, ...options]);
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest | null);
  return { text, objects: objects.filter((object) => object !== null) };
}

/** kubectl against the kubeconfig; `input` is its standard input. Throws with kubectl's words when it fails. */
export async function kubectl(kubeconfig: string, args: readonly string[], input?: string): Promise<string> {
  return run(await binary('kubectl'), ['--kubeconfig', kubeconfig, ...args], input === undefined ? {} : { input });
}
