// Carries out the actions of a plan. Each kind of action has its executor: a missing one is a compile error.
// Every write that depends on what was observed carries it as a precondition; `stale` says that it no longer held, and the rest of the plan is void.
import { annotations, leaderLeaseName } from '../../common/names.ts';
import { podOfIdentity } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { AppError } from '../../common/errors.ts';
import { digestOf, differences, isOurs } from '../core/drift.ts';
import { evidenceOfEnd } from '../core/leadership.ts';
import { objectKey, type KubeObject, type ObservedLease } from '../core/observed.ts';
import type { Action } from '../core/plan.ts';
import type { EventRecorder } from './event-recorder.ts';
import { applyPatch, mergePatch, type Answer, type KubeApi } from './kube-api.ts';
import type { ClusterMemory } from './observe.ts';
import { podView } from './pod-view.ts';
import { clusterKind, kindOf, leaseKind, namespacedPath, podKind } from './resource-kind.ts';

const fieldManager = 'controlcluster-operator';

const firstRefusalRetryMs = 30_000;
const maxRefusalRetryMs = 10 * 60_000;
const status = { notFound: 404, conflict: 409 } as const;

export interface Context {
  readonly api: KubeApi;
  readonly events: EventRecorder;
  readonly cluster: ControlCluster;
  readonly memory: ClusterMemory;
  /** The API server's answer to a write, ahead of the watch. */
  readonly refresh: (object: KubeObject) => void;
}

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly afterMs: number }
  /** What was observed has changed meanwhile. */
  | { readonly kind: 'stale'; readonly afterMs: number };

const done: Outcome = { kind: 'done' };
/** By then the watch has told what is new. */
const staleRetryMs = 100;
/** The cache of pods is behind; it may take a while. */
const behindRetryMs = 1_000;
const stale: Outcome = { kind: 'stale', afterMs: staleRetryMs };

type Executors = { readonly [Kind in Action['kind']]: (action: Extract<Action, { kind: Kind }>, context: Context) => Promise<Outcome> };

const executors: Executors = {
  applyObject: async ({ object, absent }, context) => {
    if (absent && (await belongsToOthers(object, context)))
      return refuse(object, 'an object of this name exists and belongs to something else', context);
    const { api, memory } = context;
    const path = pathOf(object, context);
    const answer = await api.send('PATCH', path, { query: { fieldManager, force: 'true' }, body: object, contentType: applyPatch });
    if (answer.kind === 'refused') return answer.status === status.conflict ? stale : refuse(object, answer.message, context);
    const live = answer.body as KubeObject;
    memory.refusals.delete(objectKey(object));
    memory.appliedMs.set(objectKey(object), performance.now());
    memory.tolerated.set(objectKey(object), differences(object, live).join());
    context.refresh(live);
    return done;
  },

  deleteObject: async ({ object }, context) =>
    unlessStale(await remove(pathOf(object, context), object.metadata.uid ?? '', context), context),

  deletePod: async ({ pod, podUid }, context) =>
    unlessStale(await remove(namespacedPath(podKind, context.cluster.metadata.namespace, pod), podUid, context), context),

  clearLease: async ({ lease, witness }, context) => {
    if (witness === 'pod' && !(await podHasEnded(lease, context))) return { kind: 'stale', afterMs: behindRetryMs };
    return writeLease(lease, {}, context);
  },

  openRound: async ({ lease, round }, context) => writeLease(lease, { [annotations.round]: JSON.stringify(round) }, context),

  writeStatus: async ({ status: next }, context) => {
    const { metadata, apiVersion, kind } = context.cluster;
    const path = `${namespacedPath(clusterKind, metadata.namespace, metadata.name)}/status`;
    // The precondition keeps the high-water mark from falling behind one that another operator has written.
    const { name, namespace, uid, resourceVersion } = metadata;
    const body = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status: next };
    const answer = await context.api.send('PATCH', path, { query: { fieldManager, force: 'true' }, body, contentType: applyPatch });
    context.memory.statusWrittenMs = performance.now();
    return unlessStale(answer, context);
  },

  recordEvent: async ({ event }, { events, cluster }) => {
    await events.record(cluster, event);
    return done;
  },

  planAgain: ({ afterMs }) => Promise.resolve({ kind: 'again', afterMs }),
};

/** Throws AppError api_unavailable when the API server cannot answer now, or refuses what the operator must be able to do. */
export function execute(action: Action, context: Context): Promise<Outcome> {
  const executor = executors[action.kind] as (action: Action, context: Context) => Promise<Outcome>;
  return executor(action, context);
}

const pathOf = (object: KubeObject, { cluster }: Context): string =>
  namespacedPath(kindOf(object), cluster.metadata.namespace, object.metadata.name);

/** The cache of pods may be behind that of Leases: asks once more, before a healthy leader loses its Lease. */
async function podHasEnded(lease: ObservedLease, { api, cluster }: Context): Promise<boolean> {
  const answer = await api.send('GET', namespacedPath(podKind, cluster.metadata.namespace, podOfIdentity(lease.holder)));
  if (answer.kind === 'refused' && answer.status !== status.notFound) throw new AppError('api_unavailable', answer.message);
  return evidenceOfEnd(lease, answer.kind === 'ok' ? podView(answer.body as KubeObject) : null) !== null;
}

async function belongsToOthers(object: KubeObject, context: Context): Promise<boolean> {
  const answer = await context.api.send('GET', pathOf(object, context));
  return answer.kind === 'ok' && !isOurs(answer.body as KubeObject, context.cluster.metadata.uid);
}

/** Remembers the refusal, so that the status tells it and the same object is not sent again at once. */
function refuse(object: KubeObject, message: string, { memory }: Context): Outcome {
  const attempts = (memory.refusals.get(objectKey(object))?.attempts ?? 0) + 1;
  const retryMs = Math.min(maxRefusalRetryMs, firstRefusalRetryMs * 2 ** Math.min(attempts - 1, 10));
  memory.refusals.set(objectKey(object), { digest: digestOf(object), message, attempts, retryAtMs: performance.now() + retryMs });
  return { kind: 'again', afterMs: 0 };
}

const remove = (path: string, uid: string, { api }: Context): Promise<Answer> =>
  api.send('DELETE', path, { body: { preconditions: { uid }, propagationPolicy: 'Background' } });

/** Frees the Lease and notes what is given, if it is still as it was observed. */
async function writeLease(lease: ObservedLease, notes: Readonly<Record<string, string>>, context: Context): Promise<Outcome> {
  const { namespace, name } = context.cluster.metadata;
  const body = {
    metadata: { resourceVersion: lease.resourceVersion, annotations: notes },
    spec: { holderIdentity: '' },
  };
  const path = namespacedPath(leaseKind, namespace, leaderLeaseName(name));
  return unlessStale(await context.api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
}

function unlessStale(answer: Answer, { refresh }: Context): Outcome {
  if (answer.kind === 'refused') {
    if (answer.status === status.conflict || answer.status === status.notFound) return stale;
    throw new AppError('api_unavailable', answer.message);
  }
  const object = answer.body as KubeObject | null;
  if (object !== null && object.kind !== 'Status') refresh(object);
  return done;
}
