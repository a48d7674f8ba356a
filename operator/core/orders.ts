// What people ask of one pod by annotation: to lead with its own log (K10), or to give its own changes up and follow (K9).
// An order is carried out once and then taken off the pod; one that cannot be is taken off with the reason. Nothing here touches a log.
import { annotations } from '../../common/names.ts';
import type { MemberReport, StartRound } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';
import type { EventRecord } from './event-record.ts';
import type { MemberView, Observed, ObservedLease, ObservedPod } from './observed.ts';

export type OrderWrite =
  /** The order is done with. */
  | {
      readonly kind: 'consumeOrder';
      readonly pod: string;
      readonly podUid: string;
      readonly annotation: string;
      readonly event: EventRecord;
    }
  /** Tells the member on its own Lease, by its session. */
  | { readonly kind: 'tellToDiscard'; readonly lease: ObservedLease; readonly session: string; readonly event: EventRecord };

/** The member that is to be forced to lead, and can be; `null` when there is none. */
export function memberToForce(observed: Observed, members: readonly MemberView[]): MemberView | null {
  const open = observed.leaderLease?.round ?? null;
  const mayBe = (member: MemberView): boolean =>
    hasSpoken(member) && !isForced(member, open) && whyNotForced(member, observed.cluster) === null;
  return members.find((member) => isAsked(member, 'forceStart') && mayBe(member)) ?? null;
}

export function orderWrites(observed: Observed, members: readonly MemberView[]): OrderWrite[] {
  return members.flatMap((member) => [...forceWrites(member, observed), ...discardWrites(member, observed.memberLeases)]);
}

/** It says now which disk it has. */
const hasSpoken = ({ report, live }: MemberView): boolean => report !== null && live && report.incarnation !== '';

const isAsked = ({ pod }: MemberView, order: keyof ObservedPod['orders']): boolean => pod?.orders[order] === true;

/** The round names this very process. */
const isForced = ({ name, report }: MemberView, open: StartRound | null): boolean =>
  open?.claim === 'forced' &&
  open.designated === name &&
  open.counted.some(({ pod, session }) => pod === name && session === report?.session);

/** `null` when it can be forced, or has not spoken yet. */
function whyNotForced(member: MemberView, { status }: ControlCluster): string | null {
  const { name, kind, report } = member;
  if (kind === 'dr') return `${name} is a disaster-recovery replica and never leads (K11)`;
  if (report === null || !hasSpoken(member)) return null;
  if ((report.clusterId ?? status?.clusterId) === undefined)
    return `the cluster is not founded yet, so that ${name} has no log to lead with; the first start round founds it`;
  if (report.phase === 'Leading') return `${name} leads already`;
  if (report.phase === 'Blocked' || report.phase === 'Waiting') return null;
  return `${name} is ${report.phase}${report.leader === null ? '' : ` and has a leader, ${report.leader}`}: nothing keeps it from starting`;
}

function forceWrites(member: MemberView, { cluster, leaderLease }: Observed): OrderWrite[] {
  const { name, pod, report } = member;
  const open = leaderLease?.round ?? null;
  if (pod === null || !isAsked(member, 'forceStart')) return [];
  const consume = (event: EventRecord): OrderWrite[] => [
    { kind: 'consumeOrder', pod: name, podUid: pod.uid, annotation: annotations.forceStart, event },
  ];
  if (report !== null && isForced(member, open))
    return consume({ type: 'Warning', reason: 'ForceStarted', message: forcedMessage(name, report, open) });
  const problem = whyNotForced(member, cluster);
  return problem === null ? [] : consume({ type: 'Warning', reason: 'ForceStartRefused', message: `Not force-started: ${problem}.` });
}

const forcedMessage = (name: string, { position }: MemberReport, open: StartRound | null): string =>
  `${name} leads in generation ${String(open?.generation ?? 0)} with its own log, which ends at UID ${String(position.uid)}. Changes of the others that it lacks go to the archives on their volumes. Until a majority has taken its log, an old leader that still runs may acknowledge changes.`;

function discardWrites(member: MemberView, leases: readonly ObservedLease[]): OrderWrite[] {
  const { name, pod, report, live } = member;
  if (pod === null || !isAsked(member, 'discardLocal') || report === null || !live) return [];
  const lease = leases.find((one) => one.name === name);
  if (lease === undefined) return [];
  const isTold = lease.discard === report.session;
  const uid = String(report.position.uid);
  if (report.phase === 'Blocked' && !isTold) {
    const message = `${name} gives its own changes up (its log ends at UID ${uid}), archives them on its volume and follows.`;
    return [
      { kind: 'tellToDiscard', lease, session: report.session, event: { type: 'Warning', reason: 'LocalChangesDiscarded', message } },
    ];
  }
  const event: EventRecord = isTold
    ? { type: 'Normal', reason: 'DiscardTold', message: `${name} was told to give its own changes up.` }
    : { type: 'Warning', reason: 'DiscardRefused', message: `Nothing discarded: ${name} is ${report.phase}, not Blocked.` };
  return [{ kind: 'consumeOrder', pod: name, podUid: pod.uid, annotation: annotations.discardLocal, event }];
}
