// What was observed of one ControlCluster at one moment: the only input of `plan`.
// Ages are measured by this process on its monotonic clock from what it saw change; the clocks of other machines are never compared with ours.
// `nowMs` is wall-clock time, for time stamps that people read and for waiting times that only cost patience, never safety.
import { drPodName, memberPodName } from '../../common/names.ts';
import { podOfIdentity, type MemberReport, type StartRound, type Switchover, type Waiting } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';

/** A member whose Lease was not renewed for so long has nothing to say. Sidecars renew every 2 s. */
export const reportLifetimeMs = 8_000;

export interface OwnerReference {
  readonly uid: string;
  readonly controller?: boolean | undefined;
}

/** Any Kubernetes object, as JSON. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
    readonly resourceVersion?: string | undefined;
    readonly generation?: number | undefined;
    readonly creationTimestamp?: string | undefined;
    readonly deletionTimestamp?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
    readonly ownerReferences?: readonly OwnerReference[] | undefined;
  };
  readonly [field: string]: unknown;
}

export const objectKey = (object: Pick<KubeObject, 'kind' | 'metadata'>): string => `${object.kind}/${object.metadata.name}`;

/** The controller that owns an object, by its UID; `undefined` when none does. */
export const ownerOf = (object: KubeObject): string | undefined =>
  object.metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid;

export interface LiveObject {
  readonly object: KubeObject;
  /** Differences from what we asked for that the API server keeps (it writes some values in another form); see drift.ts. */
  readonly tolerated: string;
}

/** The API server has answered a write with an error, for a reason that a repetition alone seldom cures. */
export interface Refusal {
  /** Which write to its subject it was (`subjectOf`). */
  readonly version: string;
  readonly message: string;
  readonly retryInMs: number;
}

export interface Termination {
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly finishedAtMs: number;
}

export type ContainerState =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message: string }
  | { readonly kind: 'running'; readonly startedAtMs: number }
  | ({ readonly kind: 'terminated' } & Termination);

export interface ObservedContainer {
  readonly name: string;
  readonly restarts: number;
  readonly state: ContainerState;
  readonly last: Termination | null;
}

export interface ObservedPod {
  readonly name: string;
  readonly uid: string;
  /** Revision of its StatefulSet that it was made from. */
  readonly revision: string;
  readonly deleting: boolean;
  /** By its label, the Service of the leader leads to it. */
  readonly labelledLeader: boolean;
  /** Asked for by annotation. */
  readonly orders: { readonly forceStart: boolean; readonly discardLocal: boolean };
  readonly ready: boolean;
  /** Its phase is Succeeded or Failed, with the reason that it gives. */
  readonly finished: string | null;
  /** Why it has no node. */
  readonly unscheduled: { readonly reason: string; readonly message: string } | null;
  readonly sidecar: ObservedContainer | null;
  /** The user's containers, init containers included. */
  readonly users: readonly ObservedContainer[];
}

export interface ObservedLease {
  readonly name: string;
  readonly resourceVersion: string;
  /** `''` when it is free. */
  readonly holder: string;
  /** Clock of the holder's node. */
  readonly acquiredAtMs: number | null;
  /** Since this process saw it change. */
  readonly ageMs: number;
  /** This process saw it change, so that somebody was alive `ageMs` ago. */
  readonly proven: boolean;
  readonly round: StartRound | null;
  readonly report: MemberReport | null;
  readonly waiting: Waiting | null;
  /** Session that was told to discard. */
  readonly discard: string | null;
  /** What the leader was told. */
  readonly switchover: Switchover | null;
}

export interface ObservedStatefulSet {
  readonly name: string;
  /** `null` while the controller has not yet seen the present generation. */
  readonly updateRevision: string | null;
}

export type Desired =
  | { readonly kind: 'objects'; readonly objects: readonly KubeObject[] }
  | { readonly kind: 'invalid'; readonly reason: string; readonly message: string };

export interface Observed {
  readonly cluster: ControlCluster;
  readonly nowMs: number;
  /** A new random UUID, used when the cluster has no identity yet. */
  readonly freshId: string;
  readonly desired: Desired;
  /** Settings that are allowed but seldom meant. */
  readonly warnings: readonly { readonly reason: string; readonly message: string }[];
  /** Electable members that have pods: those of the specification, and those that are to go but still count (`keptMembers`). */
  readonly keptMembers: number;
  /** `status.selector`. */
  readonly memberSelector: string;
  /** By `objectKey`; everything that carries the label of the cluster, but pods. */
  readonly live: ReadonlyMap<string, LiveObject>;
  /** By `objectKey`: since this process last applied it. */
  readonly appliedAgoMs: ReadonlyMap<string, number>;
  /** By `refusalKey`. */
  readonly refusals: ReadonlyMap<string, Refusal>;
  readonly pods: readonly ObservedPod[];
  readonly statefulSets: readonly ObservedStatefulSet[];
  readonly leaderLease: ObservedLease | null;
  readonly memberLeases: readonly ObservedLease[];
  /** Since this process last wrote the status. */
  readonly statusAgeMs: number;
  /** Since this process last asked why pods are not there. */
  readonly askedAgoMs: number;
  /** By pod: what Kubernetes answered. */
  readonly answers: ReadonlyMap<string, string>;
}

/** One pod that should exist, with what is known of it. */
export interface MemberView {
  readonly name: string;
  readonly kind: 'member' | 'dr';
  readonly pod: ObservedPod | null;
  /** What the process in this very pod said last; `null` when it said nothing. */
  readonly report: MemberReport | null;
  /** The report is being renewed, for all we know. */
  readonly live: boolean;
  /** We have seen it renewed. */
  readonly proven: boolean;
  /** Why the process in this very pod does not report yet, as it says itself. */
  readonly waiting: Waiting | null;
  /** What Kubernetes says of why the pod is not there, when it was asked. */
  readonly answer: string | null;
}

/** Electable members in the order of failover.csv (K5): the preferred leader first, then by ordinal; those that are to go come last. */
function electable({ cluster, keptMembers }: Observed): string[] {
  const names = Array.from({ length: Math.max(cluster.spec.members, keptMembers) }, (_, ordinal) =>
    memberPodName(cluster.metadata.name, ordinal),
  );
  const preferred = cluster.spec.preferredLeader;
  return preferred !== undefined && names.includes(preferred) ? [preferred, ...names.filter((name) => name !== preferred)] : names;
}

/** All pods that should exist, electable members first, in the order of failover.csv. */
export function membersOf(observed: Observed): MemberView[] {
  const { cluster } = observed;
  const drNames = Array.from({ length: cluster.spec.disasterRecovery.replicas }, (_, ordinal) => drPodName(cluster.metadata.name, ordinal));
  const view = (name: string, kind: MemberView['kind']): MemberView => {
    const pod = observed.pods.find((one) => one.name === name) ?? null;
    const lease = observed.memberLeases.find((one) => one.name === name);
    const report = lease?.report?.pod === name && lease.report.podUid === pod?.uid ? lease.report : null;
    const live = report !== null && pod?.finished === null && lease !== undefined && lease.ageMs <= reportLifetimeMs;
    const waiting = lease?.waiting?.podUid === pod?.uid ? (lease?.waiting ?? null) : null;
    return { name, kind, pod, report, waiting, live, proven: live && lease.proven, answer: observed.answers.get(name) ?? null };
  };
  return [...electable(observed).map((name) => view(name, 'member')), ...drNames.map((name) => view(name, 'dr'))];
}

/** The parts of a Lease identity (`common/report.ts`). */
export function partsOfIdentity(identity: string): { pod: string; podUid: string; session: string } {
  const [, podUid = '', session = ''] = identity.split('_');
  return { pod: podOfIdentity(identity), podUid, session };
}

/** At least this many of `members` are a majority. */
export const majorityOf = (members: number): number => Math.floor(members / 2) + 1;
