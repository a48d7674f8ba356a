// `npm run demo -- down`: removes what the demo made, and says after each step what is gone. Every wait has a limit; what is left undone is named with
// what to do about it, and the command can be run again from any point. It judges nothing gone that it could not ask about.
import { join } from 'node:path';
import { ClusterError } from '../cluster/command.ts';
import { checkout } from '../cluster/state.ts';
import { answerMs, attemptWithin, limitExitCode, runWithin } from './bounded.ts';
import { cluster, demoLabel, example, namespace, release } from './names.ts';
import {
  chooseTarget,
  ForeignRelease,
  helm,
  kindName,
  kubectl,
  ownsBundled,
  refuseForeignRelease,
  requireReachable,
  targetOf,
  type Target,
} from './target.ts';

export interface DownLimits {
  /** One question to a cluster, to kind or to Docker. */
  readonly answerMs: number;
  /** For the objects of one step to be gone. */
  readonly goneMs: number;
  /** For a whole local cluster to be gone. */
  readonly clusterGoneMs: number;
}

const defaultLimits: DownLimits = { answerMs, goneMs: 3 * 60_000, clusterGoneMs: 5 * 60_000 };
const definition = 'controlclusters.controlcluster.io';

interface Step {
  readonly what: string;
  /** Resolves with what stays on purpose, and why; `null` when it is gone. */
  readonly remove: () => Promise<string | null>;
}

/** With a context, takes the demo out of that cluster; otherwise removes the demo's own clusters. */
export async function down(context: string | undefined): Promise<void> {
  if (context !== undefined) {
    await removeFrom(await targetOf(await chooseTarget(context)));
    console.log(`Removed from ${context}.`);
    return;
  }
  const removed: boolean[] = [];
  const failures: string[] = [];
  for (const remove of [removeKind, removeBundled]) {
    try {
      removed.push(await remove());
    } catch (error) {
      // One that does not answer keeps the other from nothing.
      if (!(error instanceof ClusterError)) throw error;
      failures.push(error.message);
    }
  }
  if (failures.length > 0) throw new ClusterError(failures.join('\n\n'));
  console.log(removed.includes(true) ? 'The cluster of the demo is gone.' : 'There is no cluster of the demo.');
}

/** False when there is none. Throws ClusterError with what to do. */
export async function removeKind(limits = defaultLimits, kind = 'kind'): Promise<boolean> {
  const again = 'When Docker runs again, `npm run demo -- down` removes it.';
  const answer = await attemptWithin(limits.answerMs, kind, ['get', 'clusters']).catch(() => null);
  if (answer === null) return false;
  if (answer.code === limitExitCode)
    throw new ClusterError(`kind does not tell its clusters. ${answer.stderr.trim()} If there is one of the demo, it stays. ${again}`);
  if (answer.code !== 0) console.log(`kind does not tell its clusters, so one of the demo may be left. ${again}\n${answer.stderr.trim()}`);
  if (!answer.stdout.split('\n').includes(kindName)) return false;
  await withAdvice(again, runWithin(limits.clusterGoneMs, kind, ['delete', 'cluster', '--name', kindName]));
  console.log(`The kind cluster ${kindName} is gone.`);
  return true;
}

/** False when there is none of this checkout. In a process of its own, which can be ended whatever it waits for. */
async function removeBundled(): Promise<boolean> {
  if (!(await ownsBundled())) return false;
  const command = [join(checkout, 'test', 'cluster', 'main.ts'), 'down'];
  const advice = '`npm run cluster -- down --verify` goes on with it and names what is left.';
  await withAdvice(advice, runWithin(defaultLimits.clusterGoneMs, process.execPath, command));
  console.log('The bundled Kubernetes is gone.');
  return true;
}

/** Adds to a failure what to do about it. */
async function withAdvice(advice: string, work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    throw error instanceof ClusterError ? new ClusterError(`${error.message}\n${advice}`, error) : error;
  });
}

/**
 * Removes the release, the example and their volumes; what else the cluster holds stays. Throws ClusterError with what is left and what to do;
 * ForeignRelease, and removes nothing, when the demo did not make the release.
 */
export async function removeFrom(target: Target, limits = defaultLimits): Promise<void> {
  const left = stepsFor(target, limits);
  try {
    await requireReachable(target, limits.answerMs);
    await refuseForeignRelease(target, limits.answerMs);
    for (let step = left[0]; step !== undefined; step = left[0]) {
      console.log((await step.remove()) ?? `Gone: ${step.what}`);
      left.shift();
    }
  } catch (error) {
    if (!(error instanceof ClusterError) || error instanceof ForeignRelease) throw error;
    const undone = left.map(({ what }) => `  ${what}`).join('\n');
    const next = `When the cluster answers, \`${target.down}\` goes on from there. When the cluster itself was removed, there is nothing left to do.`;
    throw new ClusterError(`${error.message}\n\nNot known to be gone:\n${undone}\n${next}`, error);
  }
}

function stepsFor(target: Target, limits: DownLimits): Step[] {
  const commandMs = limits.goneMs + limits.answerMs;
  const goneSeconds = `${String(limits.goneMs / 1000)}s`;
  const ask = async (...args: string[]): Promise<string> => (await kubectl(target, ['get', ...args], limits.answerMs)).trim();
  const remove = async (...args: string[]): Promise<null> => {
    await kubectl(target, ['delete', '--ignore-not-found', '--wait', `--timeout=${goneSeconds}`, ...args], commandMs);
    return null;
  };
  const isDefined = async (): Promise<boolean> => (await ask('crd', definition, '--ignore-not-found', '--output', 'name')) !== '';
  return [
    // Nobody can name an object of a kind that is not defined.
    { what: `the ControlCluster ${cluster}`, remove: async () => ((await isDefined()) ? remove('--filename', example) : null) },
    {
      what: `the volumes of ${cluster}`,
      remove: () => remove('persistentvolumeclaims', '--selector', `controlcluster.io/cluster=${cluster}`),
    },
    {
      what: `the Helm release ${release}`,
      remove: async () => {
        await helm(
          target,
          ['uninstall', release, '--namespace', namespace, '--ignore-not-found', '--wait', '--timeout', goneSeconds],
          commandMs,
        );
        return null;
      },
    },
    {
      what: `the volumes of ${release}`,
      remove: () => remove('persistentvolumeclaims', '--namespace', namespace, '--selector', `app.kubernetes.io/instance=${release}`),
    },
    {
      what: `the definition ${definition}`,
      remove: async () => {
        if (!(await isDefined())) return null;
        const others = await ask('controlclusters', '--all-namespaces', '--output', 'name');
        return others === '' ? remove('crd', definition) : `There are other ControlClusters, so their definition stays:\n${others}`;
      },
    },
    { what: `the namespace ${namespace}, if the demo made it`, remove: () => remove('namespace', '--selector', demoLabel) },
  ];
}
