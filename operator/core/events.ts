// Events: what changed between the status that was written last and the new one. What the operator does by itself is told with the write (writes.ts).
import { journalDamaged, type Discarded } from '../../common/report.ts';
import type { Condition, ConditionType, ControlClusterStatus, MemberStatus } from '../../common/status.ts';
import { dataVolume } from '../../common/names.ts';
import type { EventRecord } from './event-record.ts';
import type { Judgement } from './judgement.ts';
import type { Observed } from './observed.ts';

/** The status in which a condition is bad news; `null` when its being False is only news. */
const badNews: Readonly<Record<ConditionType, Condition['status'] | null>> = {
  Available: 'False',
  Progressing: null,
  Degraded: 'True',
  GateOpen: null,
  MemberBlocked: 'True',
  DisasterRecoveryReady: 'False',
};
/** Reasons that are bad news whatever the condition. */
const badReasons = new Set(['ForeignLog', 'BelowHighWaterMark', 'Refused', 'NameTaken']);

export function eventsOf(observed: Observed, judgement: Judgement, next: ControlClusterStatus): EventRecord[] {
  const before = observed.cluster.status;
  return [
    ...(before?.observedGeneration === next.observedGeneration
      ? []
      : observed.warnings.map((warning) => ({ type: 'Warning' as const, ...warning }))),
    ...leaderEvents(before, next),
    ...(next.conditions ?? []).flatMap((condition) => conditionEvents(before, condition, judgement)),
    ...hinderedEvents(before, next, observed),
    ...archiveEvents(before, next, observed),
  ];
}

function leaderEvents(before: ControlClusterStatus | undefined, next: ControlClusterStatus): EventRecord[] {
  if (next.leader === undefined || (before?.leader === next.leader && before.epoch === next.epoch)) return [];
  return [{ type: 'Normal', reason: 'LeaderElected', message: `${next.leader} leads epoch ${String(next.epoch ?? 0)}.` }];
}

function conditionEvents(before: ControlClusterStatus | undefined, condition: Condition, { hindrance }: Judgement): EventRecord[] {
  const { type, status, reason, message } = condition;
  const old = before?.conditions?.find((one) => one.type === type);
  const bad = badReasons.has(reason) || badNews[type] === status || (type === 'Progressing' && hindrance !== null);
  // What a new cluster has not reached yet is no news.
  const fresh = old === undefined && !(bad && (type === 'Progressing' || badReasons.has(reason)));
  if (fresh || (old?.status === status && old.reason === reason) || type === 'MemberBlocked') return [];
  return [{ type: bad ? 'Warning' : 'Normal', reason, message }];
}

/** Members that a person may have to help: blocked, or with a journal that waits for repair. */
function hinderedEvents(before: ControlClusterStatus | undefined, next: ControlClusterStatus, { pods }: Observed): EventRecord[] {
  const isHindered = ({ phase, reason }: MemberStatus): boolean =>
    phase === 'Blocked' || (phase === 'Starting' && reason === journalDamaged);
  return (next.members ?? []).flatMap((member) => {
    const { name, reason, message } = member;
    const old = before?.members?.find((one) => one.name === name);
    if (!isHindered(member) || (old !== undefined && isHindered(old) && old.reason === reason)) return [];
    return [{ type: 'Warning', reason: reason ?? 'Blocked', message: `${name}: ${message ?? 'blocked'}`, ...aboutPod(name, pods) }];
  });
}

function aboutPod(name: string, pods: Observed['pods']): Pick<EventRecord, 'pod'> {
  const pod = pods.find((one) => one.name === name);
  return pod === undefined ? {} : { pod: { name, uid: pod.uid } };
}

/** One for each archive of discarded changes (I5). */
function archiveEvents(before: ControlClusterStatus | undefined, next: ControlClusterStatus, { pods }: Observed): EventRecord[] {
  return (next.members ?? []).flatMap(({ name, discarded = [] }) => {
    const known = before?.members?.find((member) => member.name === name)?.discarded ?? [];
    const added = discarded.filter(({ id }) => !known.some((one) => one.id === id));
    return added.map((one): EventRecord => ({
      type: 'Warning',
      reason: 'ChangesArchived',
      message: `${name} gave up ${whatIn(one)}, which the cluster does not have. It is kept as archive ${one.id} on volume ${dataVolume}-${name}. ${whatToDo(one)}`,
      ...aboutPod(name, pods),
    }));
  });
}

function whatIn({ changes, firstUid, lastUid }: Discarded): string {
  if (changes === undefined || firstUid === undefined) return `the state of its log up to UID ${String(lastUid)}`;
  return changes === 1 ? `1 change, UID ${String(lastUid)}` : `${String(changes)} changes, UIDs ${String(firstUid)} to ${String(lastUid)}`;
}

const whatToDo = ({ id, kind }: Discarded): string =>
  kind === 'diverged' ? `POST /v1/archives/${id}/replay on the pod submits it again.` : 'Its changes cannot be told apart any more.';
