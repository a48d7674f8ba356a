// Carries out the actions of a plan. Each kind of write has its executor: a missing one is a compile error.
// Every write that depends on what was observed carries it as a precondition; `stale` says that it no longer held, and the rest of the plan is void.
// A write that the API server refuses voids nothing: the plan goes on to the status, which tells it.
import { annotations, labels, leaderLeaseName, type PodRole } from '../../common/names.ts';
import { podOfIdentity } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';
import type { ControlClusterStatus } from '../../common/status.ts';
import { AppError } from '../../common/errors.ts';
import { differences, isOurs } from '../core/drift.ts';
import { evidenceOfEnd } from '../core/leadership.ts';
import { objectKey, type KubeObject, type ObservedLease } from '../core/observed.ts';
import type { Action } from '../core/plan.ts';
import { refusalKey, subjectOf, type Write } from '../core/writes.ts';
import type { EventRecorder } from './event-recorder.ts';
import { applyPatch, mergePatch, type Answer, type KubeApi } from './kube-api.ts';
import type { ClusterMemory } from './observe.ts';
import { podView } from './pod-view.ts';
import { answersTo } from './warning-events.ts';
import { clusterKind, kindOf, leaseKind, namespacedPath, podKind } from './resource-kind.ts';

const fieldManager = 'controlcluster-operator';

/** Doubled with each further refusal. An error of the API server's own (500) may pass soon, as when etcd changes its leader. */
const firstRetryMs = { refused: 30_000, failed: 1_000 } as const;
const maxRetryMs = 10 * 60_000;
const status = { notFound: 404, conflict: 409, internalError: 500 } as const;

export interface Context {
  readonly api: Pick<KubeApi, 'send'>;
  readonly events: Pick<EventRecorder, 'record'>;
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

type Refused = Extract<Answer, { kind: 'refused' }>;
type Written = Extract<Outcome, { kind: 'done' | 'stale' }> | Refused;

const done = { kind: 'done' } as const;
/** By then the watch has told what is new. */
const staleRetryMs = 100;
/** The cache of pods is behind; it may take a while. */
const behindRetryMs = 1_000;
const stale = { kind: 'stale', afterMs: staleRetryMs } as const;

type Executors = { readonly [Kind in Write['kind']]: (write: Extract<Write, { kind: Kind }>, context: Context) => Promise<Written> };

const executors: Executors = {
  applyObject: async ({ object, absent }, context) => {
    const taken = absent ? await takenBy(object, context) : null;
    if (taken !== null) return taken;
    const { api, memory } = context;
    const path = pathOf(object, context);
    const answer = await api.send('PATCH', path, { query: { fieldManager, force: 'true' }, body: object, contentType: applyPatch });
    if (answer.kind === 'refused') return answer.status === status.conflict ? stale : answer;
    const live = answer.body as KubeObject;
    memory.appliedMs.set(objectKey(object), performance.now());
    memory.tolerated.set(objectKey(object), differences(object, live).join());
    context.refresh(live);
    return done;
  },

  deleteObject: async ({ object }, context) =>
    unlessStale(await remove(pathOf(object, context), object.metadata.uid ?? '', context), context),

  unlabelLeader: async ({ pod, podUid }, context) => {
    const { api, cluster } = context;
    const follower: PodRole = 'follower';
    const body = { metadata: { uid: podUid, labels: { [labels.role]: follower } } };
    const path = namespacedPath(podKind, cluster.metadata.namespace, pod);
    return unlessStale(await api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
  },

  consumeOrder: async ({ pod, podUid, annotation }, context) => {
    const body = { metadata: { uid: podUid, annotations: { [annotation]: null } } };
    const path = namespacedPath(podKind, context.cluster.metadata.namespace, pod);
    return unlessStale(await context.api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
  },

  consumeSwitchover: async (_, context) => {
    const { namespace, name, resourceVersion } = context.cluster.metadata;
    const body = { metadata: { resourceVersion, annotations: { [annotations.switchoverTo]: null } } };
    const path = namespacedPath(clusterKind, namespace, name);
    return unlessStale(await context.api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
  },

  tellToDiscard: async ({ lease, session }, context) => tellMember(lease, { [annotations.discard]: session }, context),

  tellToSwitchOver: async ({ lease, switchover }, context) =>
    tellMember(lease, { [annotations.switchover]: JSON.stringify(switchover) }, context),

  forgetSwitchover: async ({ lease }, context) => tellMember(lease, { [annotations.switchover]: null }, context),

  deletePod: async ({ pod, podUid }, context) =>
    unlessStale(await remove(namespacedPath(podKind, context.cluster.metadata.namespace, pod), podUid, context), context),

  clearLease: async ({ lease, witness }, context) => {
    if (witness === 'report') return writeLease(lease, {}, context);
    // The cache of pods may be behind that of Leases: asks once more, before a healthy leader loses its Lease.
    const { api, cluster } = context;
    const answer = await api.send('GET', namespacedPath(podKind, cluster.metadata.namespace, podOfIdentity(lease.holder)));
    if (answer.kind === 'refused' && answer.status !== status.notFound) return answer;
    const hasEnded = evidenceOfEnd(lease, answer.kind === 'ok' ? podView(answer.body as KubeObject) : null) !== null;
    return hasEnded ? writeLease(lease, {}, context) : { kind: 'stale', afterMs: behindRetryMs };
  },

  openRound: async ({ lease, round }, context) => writeLease(lease, { [annotations.round]: JSON.stringify(round) }, context),
};

/** Throws AppError api_unavailable when the API server cannot answer now, or refuses the status, so that there is nowhere to say it. */
export async function execute(action: Action, context: Context): Promise<Outcome> {
  switch (action.kind) {
    case 'planAgain':
      return { kind: 'again', afterMs: action.afterMs };
    case 'recordEvent':
      await context.events.record(context.cluster, action.event);
      return done;
    case 'writeStatus':
      return writeStatus(action.status, context);
    case 'askWhy':
      context.memory.answers = await answersTo(action.questions, context.api, context.cluster.metadata.namespace);
      context.memory.askedMs = performance.now();
      return { kind: 'again', afterMs: 0 };
    case 'clearLease':
    case 'consumeOrder':
    case 'openRound':
    case 'consumeSwitchover':
    case 'tellToDiscard':
    case 'tellToSwitchOver':
    case 'forgetSwitchover':
    case 'applyObject':
    case 'deleteObject':
    case 'deletePod':
    case 'unlabelLeader':
      return carryOut(action, context);
  }
}

/** A refusal is remembered, so that the status tells it and the same write is not tried again at once. */
async function carryOut(write: Write, context: Context): Promise<Outcome> {
  const { memory, events, cluster } = context;
  const executor = executors[write.kind] as (write: Write, context: Context) => Promise<Written>;
  const written = await executor(write, context);
  if (written.kind === 'stale') return written;
  const key = refusalKey(write);
  const before = memory.refusals.get(key);
  memory.refusals.delete(key);
  if (written.kind === 'refused') {
    const { version } = subjectOf(write);
    const attempts = before?.version === version ? before.attempts + 1 : 1;
    const firstMs = written.status >= status.internalError ? firstRetryMs.failed : firstRetryMs.refused;
    const retryMs = Math.min(maxRetryMs, firstMs * 2 ** Math.min(attempts - 1, 10));
    memory.refusals.set(key, { version, message: written.message, attempts, retryAtMs: performance.now() + retryMs });
    return { kind: 'again', afterMs: 0 };
  }
  if ('event' in write) await events.record(cluster, write.event);
  return done;
}

async function writeStatus(next: ControlClusterStatus, context: Context): Promise<Outcome> {
  const { metadata, apiVersion, kind } = context.cluster;
  const path = `${namespacedPath(clusterKind, metadata.namespace, metadata.name)}/status`;
  // The precondition keeps the high-water mark from falling behind one that another operator has written.
  const { name, namespace, uid, resourceVersion } = metadata;
  const body = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status: next };
  const answer = await context.api.send('PATCH', path, { query: { fieldManager, force: 'true' }, body, contentType: applyPatch });
  context.memory.statusWrittenMs = performance.now();
  const written = unlessStale(answer, context);
  if (written.kind === 'refused') throw new AppError('api_unavailable', written.message);
  return written;
}

const pathOf = (object: KubeObject, { cluster }: Context): string =>
  namespacedPath(kindOf(object), cluster.metadata.namespace, object.metadata.name);

/** Why the object must not be applied, though it was not seen; `null` when there is none of its name, or it is ours. */
async function takenBy(object: KubeObject, context: Context): Promise<Refused | null> {
  const answer = await context.api.send('GET', pathOf(object, context));
  if (answer.kind === 'refused') return answer.status === status.notFound ? null : answer;
  if (isOurs(answer.body as KubeObject, context.cluster.metadata.uid)) return null;
  return { kind: 'refused', status: status.conflict, message: 'an object of this name exists and belongs to something else' };
}

const remove = (path: string, uid: string, { api }: Context): Promise<Answer> =>
  api.send('DELETE', path, { body: { preconditions: { uid }, propagationPolicy: 'Background' } });

/** On its member Lease, if that is still as it was observed. */
async function tellMember(lease: ObservedLease, notes: Readonly<Record<string, string | null>>, context: Context): Promise<Written> {
  const body = { metadata: { resourceVersion: lease.resourceVersion, annotations: notes } };
  const path = namespacedPath(leaseKind, context.cluster.metadata.namespace, lease.name);
  return unlessStale(await context.api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
}

/** Frees the Lease and notes what is given, if it is still as it was observed. */
async function writeLease(lease: ObservedLease, notes: Readonly<Record<string, string>>, context: Context): Promise<Written> {
  const { namespace, name } = context.cluster.metadata;
  const body = {
    metadata: { resourceVersion: lease.resourceVersion, annotations: notes },
    spec: { holderIdentity: '' },
  };
  const path = namespacedPath(leaseKind, namespace, leaderLeaseName(name));
  return unlessStale(await context.api.send('PATCH', path, { query: { fieldManager }, body, contentType: mergePatch }), context);
}

function unlessStale(answer: Answer, { refresh }: Context): Written {
  if (answer.kind === 'refused') return answer.status === status.conflict || answer.status === status.notFound ? stale : answer;
  const object = answer.body as KubeObject | null;
  if (object !== null && object.kind !== 'Status') refresh(object);
  return done;
}
