// The chart of this checkout on the bundled cluster. NATS and the operator stay off the main nodes, so that a scenario can cut one of these off without
// hurting anything but a member.
import { up } from '../cluster/up.ts';
import { targetOf } from '../demo/target.ts';
import { chartDirectory } from './chart.ts';
import { eventuallySeen } from './eventually.ts';
import { getJson, helm, kubectl } from './kubectl.ts';

export const release = 'controlcluster';
export const systemNamespace = 'controlcluster-system';
const installTimeout = '5m';
const operatorGoneMs = 60_000;
const offMainNodes = ['nats', 'operator'].flatMap((part) => ['--set', `${part}.nodeSelector.topology\\.kubernetes\\.io/region=dr`]);
const here = ['--namespace', systemNamespace];

/** Brings the cluster up and installs the chart; both are left as they are when they are there already. */
export async function installed(chart = chartDirectory): Promise<void> {
  await up();
  const { values } = await targetOf({ kind: 'bundled', why: '', context: null });
  const waiting = ['--create-namespace', '--wait', '--timeout', installTimeout];
  await helm(['upgrade', '--install', release, chart, ...here, ...waiting, ...values, ...offMainNodes]);
}

const operatorPods = [...here, '--selector', 'app.kubernetes.io/component=operator'];

/** 0 leaves the clusters to themselves. Resolves when so many run. */
export async function scaleOperator(replicas: number): Promise<void> {
  await kubectl([...here, 'scale', 'deployment/controlcluster-operator', `--replicas=${String(replicas)}`]);
  await kubectl([...here, 'rollout', 'status', 'deployment/controlcluster-operator', `--timeout=${installTimeout}`]);
  await eventuallySeen(async () => {
    const { items } = await getJson<{ items: unknown[] }>(['pods', ...operatorPods]);
    if (items.length !== replicas) throw new Error(`${String(items.length)} operators, not ${String(replicas)}`);
  }, operatorGoneMs);
}

/** The one node of NATS ends and comes back, with its volume. */
export async function restartNats(): Promise<void> {
  await kubectl([...here, 'delete', 'pod', 'nats-0', '--wait']);
  await kubectl([...here, 'rollout', 'status', 'statefulset/nats', `--timeout=${installTimeout}`]);
}
