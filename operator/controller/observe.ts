// Turns what the caches hold about one cluster into what the core plans from. Reads, parses, and changes nothing.
import { createHash, randomUUID } from 'node:crypto';
import { annotations, leaderLeaseName } from '../../common/names.ts';
import { memberReportSchema, parseAnnotation, startRoundSchema, switchoverSchema, waitingSchema } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { digestAnnotation } from '../core/drift.ts';
import {
  objectKey,
  type Desired,
  type KubeObject,
  type Observed,
  type ObservedLease,
  type ObservedStatefulSet,
  type Refusal,
} from '../core/observed.ts';
import { keptMembers } from '../core/kept-members.ts';
import { desiredObjects, type Capabilities } from '../resources/desired.ts';
import { memberSelectorText } from '../resources/identity.ts';
import type { SidecarSettings } from '../resources/sidecar-container.ts';
import { warningsFor } from '../resources/warnings.ts';
import { leaseSpec, type LeaseAge } from './lease-clock.ts';
import { podView } from './pod-view.ts';

/** What this process knows of a cluster beyond what the API server tells: how its own writes fared. Losing it costs a few writes. */
export interface ClusterMemory {
  readonly tolerated: Map<string, string>;
  /** When each object was last applied. */
  readonly appliedMs: Map<string, number>;
  readonly refusals: Map<
    string,
    { readonly version: string; readonly message: string; readonly attempts: number; readonly retryAtMs: number }
  >;
  statusWrittenMs: number;
  /** When it was last asked why pods are not there, and what was answered about each. */
  askedMs: number;
  answers: ReadonlyMap<string, string>;
}

export const newMemory = (): ClusterMemory => ({
  tolerated: new Map(),
  appliedMs: new Map(),
  refusals: new Map(),
  statusWrittenMs: Number.NEGATIVE_INFINITY,
  askedMs: Number.NEGATIVE_INFINITY,
  answers: new Map(),
});

export interface Sources {
  readonly cluster: ControlCluster;
  /** All that carries the label of the cluster, but pods. */
  readonly objects: readonly KubeObject[];
  readonly pods: readonly KubeObject[];
  readonly memory: ClusterMemory;
  readonly capabilities: Capabilities;
  readonly settings: SidecarSettings;
  readonly leaseAge: (lease: KubeObject) => LeaseAge;
}

export function observe(sources: Sources): Observed {
  const { cluster, objects, memory, leaseAge } = sources;
  const nowMs = performance.now();
  const leases = objects.filter(({ kind }) => kind === 'Lease').map((lease) => leaseView(lease, leaseAge(lease)));
  const leaderName = leaderLeaseName(cluster.metadata.name);
  const kept = keptMembers(cluster, leases, existingMembers(sources));
  return {
    cluster,
    keptMembers: kept,
    nowMs: Date.now(),
    freshId: randomUUID(),
    desired: desired(sources, kept),
    warnings: warningsFor(cluster.spec),
    memberSelector: memberSelectorText(cluster),
    live: new Map(objects.map((object) => [objectKey(object), { object, tolerated: memory.tolerated.get(objectKey(object)) ?? '' }])),
    appliedAgoMs: new Map([...memory.appliedMs].map(([key, atMs]) => [key, nowMs - atMs])),
    refusals: new Map(
      [...memory.refusals].map(([key, { version, message, retryAtMs }]): [string, Refusal] => [
        key,
        { version, message, retryInMs: retryAtMs - nowMs },
      ]),
    ),
    pods: sources.pods.map(podView),
    statefulSets: objects.filter(({ kind }) => kind === 'StatefulSet').map(statefulSetView),
    leaderLease: leases.find(({ name }) => name === leaderName) ?? null,
    memberLeases: leases.filter(({ name }) => name !== leaderName),
    statusAgeMs: nowMs - memory.statusWrittenMs,
    askedAgoMs: nowMs - memory.askedMs,
    answers: memory.answers,
  };
}

/** Of the StatefulSet of the members; 0 while there is none. */
function existingMembers({ cluster, objects }: Sources): number {
  const set = objects.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === cluster.metadata.name);
  return (set?.spec as { readonly replicas?: number } | undefined)?.replicas ?? 0;
}

function desired({ cluster, capabilities, settings }: Sources, kept: number): Desired {
  const result = desiredObjects(cluster, capabilities, settings, kept);
  if ('invalid' in result) return { kind: 'invalid', ...result.invalid };
  return { kind: 'objects', objects: result.objects.map(withDigest) };
}

/** As it will be sent: plain JSON, with the digest of its content. */
function withDigest(object: unknown): KubeObject {
  const text = JSON.stringify(object);
  const plain = JSON.parse(text) as KubeObject;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...plain.metadata.annotations, [digestAnnotation]: digest } } };
}

function leaseView(lease: KubeObject, { ageMs, proven }: LeaseAge): ObservedLease {
  const { holderIdentity, acquireTime } = leaseSpec(lease);
  const acquiredAtMs = Date.parse(acquireTime ?? '');
  const notes = lease.metadata.annotations;
  return {
    name: lease.metadata.name,
    resourceVersion: lease.metadata.resourceVersion ?? '',
    holder: holderIdentity ?? '',
    acquiredAtMs: Number.isNaN(acquiredAtMs) ? null : acquiredAtMs,
    ageMs,
    proven,
    round: parseAnnotation(startRoundSchema, notes?.[annotations.round]),
    report: parseAnnotation(memberReportSchema, notes?.[annotations.report]),
    waiting: parseAnnotation(waitingSchema, notes?.[annotations.waiting]),
    discard: notes?.[annotations.discard] ?? null,
    switchover: parseAnnotation(switchoverSchema, notes?.[annotations.switchover]),
  };
}

function statefulSetView(set: KubeObject): ObservedStatefulSet {
  const status = (set.status ?? {}) as { observedGeneration?: number; updateRevision?: string };
  const seen = status.observedGeneration === set.metadata.generation;
  return { name: set.metadata.name, updateRevision: seen ? (status.updateRevision ?? null) : null };
}
