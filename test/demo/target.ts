// The cluster that the demo runs on, in this order: the one of `--context`; kind, where Docker and kind are; otherwise the bundled one.
// Makes the last two when they are not there. Whoever takes a target gets kubectl and helm that speak to that cluster and no other.
import { binary } from '../cluster/build.ts';
import { withBuildSecrets } from '../cluster/build-secrets.ts';
import { ClusterError, run, type CommandResult } from '../cluster/command.ts';
import { natsReference } from '../cluster/image.ts';
import { checkout, kubeconfigPath, readState } from '../cluster/state.ts';
import { ownReference, up } from '../cluster/up.ts';
import { answerMs, attemptWithin, runWithin } from './bounded.ts';
import { demoLabel, namespace } from './names.ts';

export const kindName = 'controlcluster';
/** Three nodes for members, one for the disaster-recovery replica. */
const kindConfig = `
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
  - { role: worker, labels: { topology.kubernetes.io/region: main } }
  - { role: worker, labels: { topology.kubernetes.io/region: main } }
  - { role: worker, labels: { topology.kubernetes.io/region: main } }
  - { role: worker, labels: { topology.kubernetes.io/region: dr } }
`;
const images = ['operator', 'sidecar'] as const;
const developmentImages = images.flatMap((name) => ['--set', `${name}.image.tag=dev`]);

type TargetKind = 'context' | 'kind' | 'bundled';

export interface Choice {
  readonly kind: TargetKind;
  readonly context: string | null;
  /** A sentence for the person who asked for the demo. */
  readonly why: string;
}

export interface Target {
  readonly kind: TargetKind;
  readonly kubectl: readonly string[];
  readonly helm: readonly string[];
  /** What to set in the chart for this cluster. */
  readonly values: readonly string[];
  /** What a person enters so that `kubectl` alone means this cluster; empty when there is nothing to enter. */
  readonly shell: readonly string[];
  /** The command that removes what the demo made. */
  readonly down: string;
}

/** With the key of the operator's image in its pods, since one by the same name does not replace a pod. */
export function bundledValues(keys: Readonly<Record<string, string>>): string[] {
  const key = keys[ownReference('operator')];
  return [
    ...developmentImages,
    ...['--set', `nats.image.tag=${natsReference.split(':')[1] ?? ''}`],
    ...(key === undefined ? [] : ['--set-string', `operator.podAnnotations.image=${key}`]),
  ];
}

const succeeds = async (program: string, ...args: string[]): Promise<boolean> => {
  const result = await attemptWithin(answerMs, program, args).catch(() => null);
  return result?.code === 0;
};

export async function chooseTarget(context: string | undefined): Promise<Choice> {
  if (context !== undefined) return { kind: 'context', context, why: `The cluster of the context ${context}, as asked for.` };
  if (!(await succeeds('kind', 'version'))) return bundled('kind is not installed');
  if (!(await succeeds('docker', 'info'))) return bundled('Docker does not run');
  return { kind: 'kind', context: `kind-${kindName}`, why: 'A kind cluster, since Docker and kind are here.' };
}

const bundled = (reason: string): Choice => ({
  kind: 'bundled',
  context: null,
  why: `The bundled Kubernetes, since ${reason}; npm run demo -- --context NAME takes a cluster of yours.`,
});

/** Makes the cluster ready to install into, images included. Throws ClusterError with what to do. */
export async function prepareTarget(choice: Choice): Promise<Target> {
  if (choice.kind === 'bundled') await up();
  if (choice.kind === 'kind') await prepareKind();
  return targetOf(choice);
}

/** The target as it is. */
export async function targetOf({ kind, context }: Choice): Promise<Target> {
  if (kind === 'bundled') {
    const [kubectl, helm] = [await binary('kubectl'), await binary('helm')];
    return {
      kind,
      kubectl: [kubectl, '--kubeconfig', kubeconfigPath],
      helm: [helm, '--kubeconfig', kubeconfigPath],
      values: bundledValues((await readState())?.images ?? {}),
      shell: [`export KUBECONFIG=${kubeconfigPath}`, `alias kubectl=${kubectl} helm=${helm}`],
      down: 'npm run demo -- down',
    };
  }
  const name = context ?? '';
  const program = async (wanted: 'kubectl' | 'helm'): Promise<string> =>
    (await succeeds(wanted, ...(wanted === 'kubectl' ? ['version', '--client'] : ['version']))) ? wanted : binary(wanted);
  return {
    kind,
    kubectl: [await program('kubectl'), '--context', name],
    helm: [await program('helm'), '--kube-context', name],
    values: kind === 'kind' ? developmentImages : [],
    shell: [`kubectl config use-context ${name}`],
    down: kind === 'kind' ? 'npm run demo -- down' : `npm run demo -- down --context ${name}`,
  };
}

async function prepareKind(): Promise<void> {
  const present = (await run('kind', ['get', 'clusters'])).split('\n').includes(kindName);
  if (!present) await run('kind', ['create', 'cluster', '--name', kindName, '--config', '-', '--wait', '5m'], { input: kindConfig });
  for (const name of images) {
    const tag = `controlcluster/${name}:dev`;
    const build = ['build', '--file', `${checkout}/Dockerfile.${name}`, '--tag', tag];
    await withBuildSecrets(async (secrets) => run('docker', [...build, ...secrets, checkout], { env: { DOCKER_BUILDKIT: '1' } }));
    await run('kind', ['load', 'docker-image', tag, '--name', kindName]);
  }
}

/** Whether the bundled cluster exists and is this checkout's. */
export const ownsBundled = async (): Promise<boolean> => (await readState())?.owner === checkout;

/** Standard output. Throws ClusterError with kubectl's words when it fails or has not ended within the limit. */
export async function kubectl(target: Target, args: readonly string[], limitMs = answerMs): Promise<string> {
  const [program = '', ...first] = target.kubectl;
  return runWithin(limitMs, program, [...first, ...args]);
}

/** Like `kubectl`, but returns the exit code, whatever it is. */
export async function attemptKubectl(target: Target, args: readonly string[], limitMs = answerMs): Promise<CommandResult> {
  const [program = '', ...first] = target.kubectl;
  return attemptWithin(limitMs, program, [...first, ...args]);
}

/** Throws ClusterError with helm's words when it fails or has not ended within the limit. */
export async function helm(target: Target, args: readonly string[], limitMs: number): Promise<string> {
  const [program = '', ...first] = target.helm;
  return runWithin(limitMs, program, [...first, ...args]);
}

/** Throws ClusterError when the context cannot be reached. */
export async function requireReachable(target: Target, limitMs = answerMs): Promise<void> {
  const answer = await attemptKubectl(target, ['version', '--request-timeout=10s'], limitMs);
  if (answer.code !== 0) throw new ClusterError(`The cluster does not answer:\n${answer.stderr.trim()}`);
}

/** The cluster holds what is somebody else's: the demo neither changes nor removes it. */
export class ForeignRelease extends ClusterError {}

/** Throws ForeignRelease when the namespace that the demo installs into is there and the demo did not make it. A cluster of the demo's own is its own. */
export async function refuseForeignRelease(target: Target, limitMs = answerMs): Promise<void> {
  if (target.kind !== 'context') return;
  const others = ['--field-selector', `metadata.name=${namespace}`, '--selector', demoLabel.replace('=', '!=')];
  if ((await kubectl(target, ['get', 'namespaces', ...others, '--output', 'name'], limitMs)) === '') return;
  throw new ForeignRelease(
    `The namespace ${namespace} is there and was not made by the demo, which leaves it and the release in it alone. ` +
      'Take another cluster for the demo, or go on by hand: helm upgrade, helm uninstall.',
  );
}
