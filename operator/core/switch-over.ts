// A planned switch-over: a person names the pod that is to lead by an annotation on the ControlCluster. The leader is told once, on its member Lease; the annotation
// is taken off when that pod leads, when it has not come to lead in time, or at once with the reason why not.
// What was told stands on that Lease alone, so that another operator goes on where this one ended. Nothing here makes anybody lead: votes do.
import { annotations, memberPodName } from '../../common/names.ts';
import type { Switchover } from '../../common/report.ts';
import type { EventRecord } from './event-record.ts';
import type { Leadership } from './leadership.ts';
import type { MemberView, Observed, ObservedLease } from './observed.ts';
import { whyNotReady } from './why.ts';

export type SwitchoverWrite =
  /** Tells the leader on its member Lease, by its session. */
  | { readonly kind: 'tellToSwitchOver'; readonly lease: ObservedLease; readonly switchover: Switchover; readonly event: EventRecord }
  /** Takes off the Lease what is asked for no more. */
  | { readonly kind: 'forgetSwitchover'; readonly lease: ObservedLease }
  /** The annotation on the ControlCluster is done with, as long as that is still as it was observed. */
  | { readonly kind: 'consumeSwitchover'; readonly to: string; readonly event: EventRecord };

/** From the moment at which the leader was told. It hears of it with its next heartbeat, 2 s later at most, and tries for 3 s. */
export const switchoverLimitMs = 15_000;

const askedFor = ({ cluster }: Observed): string | undefined => cluster.metadata.annotations?.[annotations.switchoverTo];

/** The Lease of the leader that was told what is asked for now. */
const toldLease = (observed: Observed): ObservedLease | undefined =>
  observed.memberLeases.find(({ switchover }) => switchover !== null && switchover.to === askedFor(observed));

export function switchoverWrites(observed: Observed, members: readonly MemberView[], leadership: Leadership): SwitchoverWrite[] {
  const to = askedFor(observed);
  const outdated = observed.memberLeases.filter(({ switchover }) => switchover !== null && switchover.to !== to);
  const forgotten = outdated.map((lease): SwitchoverWrite => ({ kind: 'forgetSwitchover', lease }));
  return to === undefined ? forgotten : [...forgotten, ...writesFor(to, observed, members, leadership)];
}

/** In how many milliseconds what was told must have come about; `null` when nothing was told, or the time is over. A clock that was set back makes nobody wait for long. */
export function switchoverDueMs(observed: Observed): number | null {
  const { switchover = null } = toldLease(observed) ?? {};
  if (switchover === null) return null;
  const dueMs = Date.parse(switchover.toldAt) + switchoverLimitMs - observed.nowMs;
  return dueMs > 0 && dueMs <= switchoverLimitMs ? dueMs : null;
}

function writesFor(to: string, observed: Observed, members: readonly MemberView[], leadership: Leadership): SwitchoverWrite[] {
  const named = members.find(({ name }) => name === to) ?? null;
  const about = (type: EventRecord['type'], reason: string, message: string): EventRecord => ({
    ...{ type, reason, message },
    ...(named?.pod ? { pod: { name: to, uid: named.pod.uid } } : {}),
  });
  const consume = (event: EventRecord): SwitchoverWrite[] => [{ kind: 'consumeSwitchover', to, event }];
  const told = toldLease(observed);
  const leader = leaderOf(leadership);
  if (told !== undefined) {
    if (leader === to) return consume(about('Normal', 'SwitchoverDone', `${to} leads, in the place of ${told.name}.`));
    if (switchoverDueMs(observed) !== null) return [];
    const message = `${to} has not come to lead within ${String(switchoverLimitMs / 1000)} s: ${whyNotCome(named, leader, told.name)}.`;
    return consume(about('Warning', 'SwitchoverFailed', message));
  }
  const problem = whyRefused(to, named, leader, observed);
  if (problem !== null) return consume(about('Warning', 'SwitchoverRefused', `No switch-over to ${to}: ${problem}.`));
  const { report } = members.find(({ name }) => name === leader) ?? {};
  const lease = observed.memberLeases.find(({ name }) => name === leader);
  if (!report || lease === undefined) return [];
  const switchover = { session: report.session, to, toldAt: new Date(observed.nowMs).toISOString() };
  return [
    { kind: 'tellToSwitchOver', lease, switchover, event: about('Normal', 'SwitchoverStarted', `${report.pod} is to hand over to ${to}.`) },
  ];
}

const leaderOf = (leadership: Leadership): string | null => (leadership.kind === 'led' && leadership.open ? leadership.pod : null);

/** `null` when the leader may be told. */
function whyRefused(to: string, named: MemberView | null, leader: string | null, { cluster }: Observed): string | null {
  if (named === null) return 'the cluster has no such pod';
  if (named.kind === 'dr') return 'it is a disaster-recovery replica and never leads (K11)';
  const stays = Array.from({ length: cluster.spec.members }, (_, ordinal) => memberPodName(cluster.metadata.name, ordinal)).includes(to);
  if (!stays) return `it is to go, since spec.members is ${String(cluster.spec.members)}`;
  if (leader === to) return 'it leads already';
  if (leader === null) return 'no member leads and takes changes now';
  return whyUnfit(named);
}

/** `null` when it follows in sync, and others would vote for it. */
function whyUnfit(named: MemberView): string | null {
  const why = whyNotReady(named);
  if (why !== null) return `it is not in sync (${why.reason}: ${why.message})`;
  return named.report?.eligible === true ? null : 'its disk does not count yet; it is taken in when it has caught up';
}

function whyNotCome(named: MemberView | null, leader: string | null, former: string): string {
  const unfit = named === null ? 'the cluster has no such pod any more' : whyUnfit(named);
  return unfit ?? `${leader ?? 'no member'} leads; the logs of ${former} and of the pod say why`;
}
