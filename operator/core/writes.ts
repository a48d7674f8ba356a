// What is to be written about a cluster but for its status, in order: the leader Lease, the objects, the pods of a roll-out.
// Whether it is time for a write, and how it fares, is not decided here.
import type { StartRound } from '../../common/report.ts';
import { differences, digestOf, isOurs } from './drift.ts';
import type { EventRecord } from './event-record.ts';
import type { Leadership, Witness } from './leadership.ts';
import {
  objectKey,
  ownerOf,
  type KubeObject,
  type LiveObject,
  type MemberView,
  type Observed,
  type ObservedLease,
  type Refusal,
} from './observed.ts';
import { orderWrites, type OrderWrite } from './orders.ts';
import type { Rollout } from './rollout.ts';
import type { StartDecision } from './start-round.ts';
import { switchoverWrites, type SwitchoverWrite } from './switch-over.ts';

/** `event` tells of it once it is done. */
export type Write =
  | OrderWrite
  | SwitchoverWrite
  /** Frees the leader Lease on condition that it is still the one that was observed. */
  | { readonly kind: 'clearLease'; readonly lease: ObservedLease; readonly witness: Witness; readonly event: EventRecord }
  /** `absent`: it was not seen; make sure that nobody else's object has its name. */
  | { readonly kind: 'applyObject'; readonly object: KubeObject; readonly absent: boolean }
  | { readonly kind: 'deleteObject'; readonly object: KubeObject }
  /** The Service of the leader leads to this pod no more. */
  | { readonly kind: 'unlabelLeader'; readonly pod: string; readonly podUid: string; readonly event: EventRecord }
  | { readonly kind: 'deletePod'; readonly pod: string; readonly podUid: string; readonly event: EventRecord }
  /** Writes the round and frees the Lease in one step, on condition that the Lease is still the one that was observed. */
  | { readonly kind: 'openRound'; readonly lease: ObservedLease; readonly round: StartRound; readonly event: EventRecord };

/** What a write is about, and which one of the writes to it this is: refused once, it is tried again late, another one at once. */
export function subjectOf(write: Write): { readonly subject: string; readonly version: string } {
  switch (write.kind) {
    case 'applyObject':
      return { subject: nameOf(write.object), version: digestOf(write.object) };
    case 'deleteObject':
      return { subject: nameOf(write.object), version: write.object.metadata.uid ?? '' };
    case 'consumeOrder':
      return { subject: `Pod ${write.pod}`, version: `${write.podUid} ${write.annotation}` };
    case 'tellToDiscard':
      return { subject: `Lease ${write.lease.name}`, version: write.session };
    case 'tellToSwitchOver':
      return { subject: `Lease ${write.lease.name}`, version: `${write.switchover.session} ${write.switchover.to}` };
    case 'forgetSwitchover':
      return { subject: `Lease ${write.lease.name}`, version: write.lease.switchover?.toldAt ?? '' };
    case 'consumeSwitchover':
      return { subject: 'Annotation switchover-to', version: write.to };
    case 'unlabelLeader':
    case 'deletePod':
      return { subject: `Pod ${write.pod}`, version: write.podUid };
    case 'clearLease':
      return { subject: `Lease ${write.lease.name}`, version: write.lease.holder };
    case 'openRound':
      return { subject: `Lease ${write.lease.name}`, version: String(write.round.number) };
  }
}

const nameOf = ({ kind, metadata }: KubeObject): string => `${kind} ${metadata.name}`;
/** Under which a refusal is remembered: applying a Lease and clearing it may fare differently. */
export const refusalKey = (write: Write): string => `${write.kind} ${subjectOf(write).subject}`;

/** The refusal of this very write; `null` when it was not refused, or another one was. */
export function refusalOf(write: Write, refusals: Observed['refusals']): Refusal | null {
  const refusal = refusals.get(refusalKey(write));
  return refusal?.version === subjectOf(write).version ? refusal : null;
}

export function writesOf(
  observed: Observed,
  members: readonly MemberView[],
  leadership: Leadership,
  start: StartDecision,
  rollout: Rollout,
): Write[] {
  const lease = leaseWrites(observed, leadership, start);
  const orders = [...orderWrites(observed, members), ...switchoverWrites(observed, members, leadership)];
  return [...lease, ...orders, ...labelWrites(members, leadership), ...objectWrites(observed), ...rolloutWrites(rollout)];
}

function leaseWrites({ cluster, leaderLease }: Observed, leadership: Leadership, start: StartDecision): Write[] {
  if (leaderLease === null) return [];
  // The identity of the log, its founders and its generation are in the status before a round names them: should the operator end in between, the next one finds it there.
  if (start.kind === 'open' && isRecorded(cluster, start.round)) {
    const { number, designated, counted } = start.round;
    const how = { elected: 'is to lead', recovery: 'is to recover the cluster', forced: 'is forced to lead with its own log' }[
      start.round.claim
    ];
    const message = `Start round ${String(number)}: ${designated} ${how}; counted are ${counted.map(({ pod }) => pod).join(', ')}.`;
    return [{ kind: 'openRound', lease: leaderLease, round: start.round, event: { type: 'Normal', reason: 'StartRoundOpened', message } }];
  }
  if (leadership.kind !== 'gone') return [];
  const { evidence, witness } = leadership;
  const event: EventRecord = { type: 'Normal', reason: 'LeaderLeaseCleared', message: `Freed the leader Lease: ${evidence}.` };
  return [{ kind: 'clearLease', lease: leaderLease, witness, event }];
}

const isRecorded = ({ status }: Observed['cluster'], { clusterId, generation }: StartRound): boolean =>
  status?.clusterId === clusterId && (status.generation ?? -1) >= generation && status.founding !== undefined;

/**
 * A leader that was cut off cannot take its own label off, and half of all connections would still be sent to it. One that lives sees to its label itself:
 * what is known here may be a moment behind.
 */
function labelWrites(members: readonly MemberView[], leadership: Leadership): Write[] {
  if (leadership.kind !== 'led' || !leadership.open) return [];
  const silent = members.filter(({ name, pod, live }) => pod?.labelledLeader === true && !live && name !== leadership.pod);
  return silent.flatMap(({ name, pod }): Write[] => {
    const message = `${name} is silent and ${leadership.pod} leads: the Service leads to ${name} no more.`;
    const event: EventRecord = { type: 'Normal', reason: 'LeaderLabelRemoved', message };
    return pod === null ? [] : [{ kind: 'unlabelLeader', pod: name, podUid: pod.uid, event }];
  });
}

function objectWrites({ cluster, desired, live }: Observed): Write[] {
  if (desired.kind === 'invalid') return [];
  const { uid } = cluster.metadata;
  const applied = desired.objects.flatMap((object): Write[] => {
    const found = live.get(objectKey(object));
    if (found !== undefined && !(isAlive(found.object) && isOurs(found.object, uid) && hasDrifted(object, found))) return [];
    return [{ kind: 'applyObject', object, absent: found === undefined }];
  });
  const wanted = new Set(desired.objects.map(objectKey));
  const surplus = [...live].filter(([key, { object }]) => !wanted.has(key) && isAlive(object) && ownerOf(object) === uid);
  return [...applied, ...surplus.map(([, { object }]): Write => ({ kind: 'deleteObject', object }))];
}

const hasDrifted = (desired: KubeObject, { object, tolerated }: LiveObject): boolean => differences(desired, object).join() !== tolerated;
const isAlive = (object: KubeObject): boolean => object.metadata.deletionTimestamp === undefined;

function rolloutWrites(rollout: Rollout): Write[] {
  if (rollout.kind !== 'replace') return [];
  const { pod, podUid, message } = rollout;
  return [{ kind: 'deletePod', pod, podUid, event: { type: 'Normal', reason: 'PodReplaced', message } }];
}
