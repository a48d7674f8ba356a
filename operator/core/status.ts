// The status of a ControlCluster, made anew from one observation. From the status before it takes only what must outlive an observation:
// identity, high-water mark (which only grows), the last start round, and times of transitions.
import type { ClusterPhase, ControlClusterStatus, MemberStatus } from '../../common/status.ts';
import { conditionsOf, troubles } from './conditions.ts';
import type { Judgement } from './judgement.ts';
import type { MemberView, Observed } from './observed.ts';
import { highestMark } from './start-round.ts';
import { whyNotReady } from './why.ts';

/** UIDs, lags and texts alone are written no more often than this: a busy cluster changes them all the time, an idle one never. */
export const minorStatusIntervalMs = 5_000;

export function statusOf(observed: Observed, judgement: Judgement): ControlClusterStatus {
  const { cluster } = observed;
  const before = cluster.status ?? {};
  const { members, leadership, start } = judgement;
  const electable = members.filter((member) => member.kind === 'member');
  const replicas = members.filter((member) => member.kind === 'dr');
  const leader = leadership.kind === 'led' && leadership.open ? members.find((member) => member.name === leadership.pod) : undefined;
  const mark = highestMark(cluster, observed.memberLeases);
  const clusterId = before.clusterId ?? (start.kind === 'open' ? start.round.clusterId : undefined);
  const founding = before.founding ?? (start.kind === 'open' ? start.round.configuration : undefined);
  const generation = start.kind === 'open' ? Math.max(start.round.generation, before.generation ?? 0) : before.generation;
  const epoch = leader?.report?.position.epoch.number ?? before.epoch;
  return {
    observedGeneration: cluster.metadata.generation ?? 0,
    phase: phaseOf(judgement),
    ...(leader === undefined ? {} : { leader: leader.name }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(mark === null ? {} : { uid: mark.uid, highWaterMark: mark }),
    ...(clusterId === undefined ? {} : { clusterId }),
    ...(generation === undefined ? {} : { generation }),
    ...(founding === undefined ? {} : { founding: [...founding] }),
    replicas: electable.filter(({ pod }) => pod !== null).length,
    ready: readyText(electable),
    disasterRecoveryReady: readyText(replicas),
    selector: observed.memberSelector,
    startup: startupOf(observed, judgement),
    members: members.map((member) => memberStatus(member, before)),
    conditions: conditionsOf(observed, judgement),
  };
}

function phaseOf({ members, leadership, start }: Judgement): ClusterPhase {
  if (leadership.kind === 'led' && leadership.open) return troubles(members).length === 0 ? 'Running' : 'Degraded';
  if (start.kind === 'refused') return 'Blocked';
  if (start.kind !== 'gathering') return 'Electing';
  return members.every(({ pod }) => pod === null) ? 'Pending' : 'Gathering';
}

const readyText = (members: readonly MemberView[]): string =>
  `${String(members.filter((member) => whyNotReady(member) === null).length)}/${String(members.length)}`;

function memberStatus(member: MemberView, before: ControlClusterStatus): MemberStatus {
  const { name, kind, report, live, waiting } = member;
  const why = whyNotReady(member);
  const phase = live && report !== null ? report.phase : waiting !== null && why?.reason === waiting.reason ? 'Starting' : 'Absent';
  const follows = kind === 'dr' ? 'dr' : 'follower';
  return {
    name,
    role: phase === 'Leading' ? 'leader' : phase === 'Following' ? follows : 'none',
    phase,
    ...(report === null ? {} : { uid: report.position.uid, epoch: report.position.epoch.number, lag: report.lag }),
    ready: why === null,
    ...(why ?? {}),
    ...discardedOf(member, before),
  };
}

/** A pod that says nothing now has not lost its archives: forgotten, they would be news when it speaks again. */
function discardedOf({ name, report }: MemberView, { members = [] }: ControlClusterStatus): Pick<MemberStatus, 'discarded'> {
  const discarded = report === null ? members.find((member) => member.name === name)?.discarded : report.discarded;
  return discarded === undefined ? {} : { discarded };
}

function startupOf(observed: Observed, { members, start }: Judgement): NonNullable<ControlClusterStatus['startup']> {
  const { cluster, leaderLease } = observed;
  const before = cluster.status?.startup;
  const round = leaderLease?.round ?? null;
  const expected = cluster.spec.members;
  if (start.kind === 'gathering') return { ...(before ?? { round: 0 }), expected, present: start.present.length };
  if (round === null) return before ?? { round: 0, expected, present: 0 };
  const kept = before?.round === round.number ? before.spreadMs : undefined;
  const spreadMs = kept ?? spreadOf(members.filter(({ name }) => round.counted.some(({ pod }) => pod === name)));
  return {
    round: round.number,
    expected,
    present: round.counted.length,
    openedAt: round.openedAt,
    ...(spreadMs === undefined ? {} : { spreadMs }),
  };
}

/** Between the first and the last first start of the user's containers, in the kubelets' resolution of 1 s; `undefined` until all have started. */
function spreadOf(members: readonly MemberView[]): number | undefined {
  const starts = members.map(({ pod }) => firstStart(pod?.users ?? []));
  const known = starts.filter((start) => start !== undefined);
  return known.length === 0 || known.length < starts.length ? undefined : Math.max(...known) - Math.min(...known);
}

function firstStart(
  users: readonly { readonly restarts: number; readonly state: { readonly kind: string; readonly startedAtMs?: number } }[],
): number | undefined {
  const starts = users.flatMap(({ restarts, state }) =>
    restarts === 0 && state.kind === 'running' && state.startedAtMs !== undefined ? [state.startedAtMs] : [],
  );
  return starts.length === 0 ? undefined : Math.min(...starts);
}

/** What a status says apart from UIDs, lags and texts: a change of this is written at once. */
export function outlineOf(status: ControlClusterStatus): string {
  const { observedGeneration, phase, leader, clusterId, generation, replicas, ready, disasterRecoveryReady, selector, startup } = status;
  return JSON.stringify([
    [observedGeneration, phase, leader, clusterId, generation, replicas, ready, disasterRecoveryReady, selector],
    [startup?.round, startup?.expected, startup?.present, startup?.openedAt, startup?.spreadMs],
    status.members?.map(({ name, role, phase: state, ready: isReady, reason, discarded }) => [
      name,
      role,
      state,
      isReady,
      reason,
      discarded,
    ]),
    status.conditions?.map(({ type, status: holds, reason }) => [type, holds, reason]),
  ]);
}

/** Same content, whatever the order of keys; a key without a value counts as absent, as in JSON. */
export const sameStatus = (a: ControlClusterStatus, b: ControlClusterStatus): boolean => sameContent(a, b);

type Content = Readonly<Partial<Record<string, unknown>>>;

function sameContent(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((part, at) => sameContent(part, b[at]));
  const [one, other] = [a as Content, b as Content];
  return (
    Object.keys(one).every((key) => sameContent(one[key], other[key])) &&
    Object.keys(other).every((key) => key in one || other[key] === undefined)
  );
}
