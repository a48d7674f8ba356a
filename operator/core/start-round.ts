// The decision to open a start round (gang start, K6 and K7), and with whom.
// It never opens below the high-water mark (I6) nor over logs of different clusters. It does not make anything safe by itself: the votes do.
import { parseDurationMs } from '../../common/duration.ts';
import type { Configuration } from '../../common/configuration.ts';
import { comparePositions, type Position } from '../../common/position.ts';
import type { HighWaterMark, MemberReport, StartRound } from '../../common/report.ts';
import type { ControlCluster } from '../../common/schema.ts';
import type { Leadership } from './leadership.ts';
import { memberToForce } from './orders.ts';
import { majorityOf, type MemberView, type Observed, type ObservedLease } from './observed.ts';

export type StartDecision =
  /** A leader is there, or somebody may become it without a new round. */
  | { readonly kind: 'notNeeded' }
  | {
      readonly kind: 'gathering';
      readonly present: readonly MemberView[];
      readonly missing: readonly MemberView[];
      readonly decideAgainMs: number | null;
    }
  | { readonly kind: 'refused'; readonly reason: 'ForeignLog' | 'BelowHighWaterMark'; readonly message: string }
  | { readonly kind: 'open'; readonly round: StartRound };

interface Counted {
  readonly name: string;
  readonly report: MemberReport;
}

/** The highest change known as acknowledged: what the status records, or what a member reported since, even one that is gone. Only grows. */
export function highestMark(cluster: ControlCluster, leases: readonly ObservedLease[]): HighWaterMark | null {
  const clusterId = cluster.status?.clusterId;
  let highest = cluster.status?.highWaterMark ?? null;
  for (const { report } of leases) {
    const mark = report !== null && report.clusterId === clusterId ? report.acknowledged : null;
    if (mark !== null && (highest === null || comparePositions(mark, highest) > 0)) highest = mark;
  }
  return highest;
}

/** It may stand for election, or will as soon as it has read the round that is open, in which it was counted. */
function mayStand(member: MemberView, open: StartRound | null): boolean {
  const { report, live } = member;
  if (report === null || !live || report.phase === 'Blocked') return false;
  if (report.eligible) return true;
  if (open === null || !isCounted(member, open)) return false;
  if (open.claim !== 'elected') return open.designated === report.pod && report.promise.generation < open.generation;
  // Without the claim of the generation in its log it waits for a leader, as those do who promised it.
  if (report.position.epoch.generation < Math.max(open.generation, report.promise.generation)) return false;
  return report.voter || (report.position.index === 0 && isOneOf(open.configuration, report));
}

/** A member claims without votes, or is about to. Who has promised another number since stands for election like everybody. */
const isUnderWay = (present: readonly MemberView[], open: StartRound | null): boolean =>
  open !== null &&
  open.claim !== 'elected' &&
  present.some((member) => member.name === open.designated && isCounted(member, open) && claimsUnvoted(member.report, open));

const claimsUnvoted = (report: MemberReport | null, open: StartRound): boolean =>
  report !== null && (report.promise.generation < open.generation || (report.reason === 'Electing' && report.promise.number === 0));

const isCounted = ({ report }: MemberView, open: StartRound | null): boolean =>
  open?.counted.some(({ pod, session }) => pod === report?.pod && session === report.session) ?? false;

const reported = (present: readonly MemberView[]): Counted[] =>
  present.flatMap(({ name, report }) => (report === null ? [] : [{ name, report }]));

const isOneOf = (disks: Configuration, { pod, incarnation }: MemberReport): boolean =>
  disks.some((disk) => disk.pod === pod && disk.incarnation === incarnation);

export function decideStartRound(observed: Observed, members: readonly MemberView[], leadership: Leadership): StartDecision {
  const { cluster, leaderLease } = observed;
  const candidates = members.filter((member) => member.kind === 'member');
  const open = leaderLease?.round ?? null;
  const forced = memberToForce(observed, members);
  if (forced !== null && leaderLease !== null) return forcedRound(observed, members, forced, open);
  const present = candidates.filter(
    (member) => member.proven && member.report?.phase === 'Waiting' && member.report.incarnation !== '' && !(member.pod?.deleting ?? true),
  );
  const missing = candidates.filter((member) => !present.includes(member));
  // Who cannot win the votes of a majority of the disks tries in vain, and holds the Lease meanwhile.
  const isVain = missing.length === 0 && !isUnderWay(present, open) && !canElect(cluster, reported(present));
  if (!isVain && (leadership.kind === 'led' || candidates.some((member) => mayStand(member, open)))) return { kind: 'notNeeded' };
  const patience = patienceLeftMs(cluster, observed.nowMs);
  const enough = missing.length === 0 || (patience === 0 && present.length >= majorityOf(candidates.length));
  const worthWaiting = cluster.spec.startup.policy === 'Quorum' && patience > 0;
  const gathering = { kind: 'gathering', present, missing, decideAgainMs: worthWaiting ? patience : null } as const;
  return enough && leaderLease !== null ? judgeLogs(observed, gathering, open) : gathering;
}

/** How long the policy still waits for all; 0 when a majority is enough. The wall clock may shift this moment, which costs patience only. */
function patienceLeftMs(cluster: ControlCluster, nowMs: number): number {
  if (cluster.spec.startup.policy === 'All') return Number.POSITIVE_INFINITY;
  const gate = cluster.status?.conditions?.find((condition) => condition.type === 'GateOpen');
  const sinceMs = gate?.status === 'False' ? Date.parse(gate.lastTransitionTime) : nowMs;
  const timeoutMs = parseDurationMs(cluster.spec.startup.timeout);
  return Math.min(timeoutMs, Math.max(0, sinceMs + timeoutMs - nowMs));
}

type Gathering = Extract<StartDecision, { kind: 'gathering' }>;

function judgeLogs(observed: Observed, gathering: Gathering, open: StartRound | null): StartDecision {
  const { cluster } = observed;
  const counted = reported(gathering.present);
  const allPresent = gathering.missing.length === 0;
  const known = cluster.status?.clusterId;
  const ids = new Set(counted.flatMap(({ report }) => report.clusterId ?? []));
  if (known !== undefined) ids.add(known);
  if (ids.size > 1) return { kind: 'refused', reason: 'ForeignLog', message: foreignMessage(known, counted) };

  const mark = highestMark(cluster, observed.memberLeases);
  const how = howToLead(cluster, counted, open, allPresent);
  if (how === null) return gathering;
  const [best, ...others] = how.candidates;
  if (best === undefined) throw new Error('a start round without members');
  // Strictly greater: on a tie the one that stands first in failover.csv stays.
  const designated = others.reduce((a, b) => (comparePositions(b.report.position, a.report.position) > 0 ? b : a), best);
  if (mark !== null && lacks(designated.report.position, mark) && !mayReadStream(how, counted))
    return { kind: 'refused', reason: 'BelowHighWaterMark', message: belowMessage(designated, mark) };

  const [clusterId = observed.freshId] = ids;
  return openRound(observed, counted, open, { ...how, clusterId, designated: designated.name, highWaterMark: mark });
}

function openRound(
  { cluster, nowMs }: Observed,
  counted: readonly Counted[],
  open: StartRound | null,
  how: Pick<StartRound, 'clusterId' | 'generation' | 'designated' | 'claim' | 'highWaterMark'> & { readonly configuration: Configuration },
): StartDecision {
  const { clusterId, generation, designated, claim, configuration, highWaterMark } = how;
  const round: StartRound = {
    version: 1,
    number: Math.max(open?.number ?? 0, cluster.status?.startup?.round ?? 0) + 1,
    clusterId,
    generation,
    designated,
    claim,
    configuration: [...configuration],
    counted: counted.map(({ name, report }) => ({ pod: name, session: report.session })),
    highWaterMark,
    openedAt: new Date(nowMs).toISOString(),
  };
  return { kind: 'open', round };
}

/** K10: with its own log, whatever the mark says; those that speak now count from then on. */
function forcedRound(observed: Observed, members: readonly MemberView[], forced: MemberView, open: StartRound | null): StartDecision {
  const present = members.filter(({ kind, live, report }) => kind === 'member' && live && report !== null && report.incarnation !== '');
  const counted = reported(present);
  const clusterId = forced.report?.clusterId ?? observed.cluster.status?.clusterId;
  if (clusterId === undefined) throw new Error(`${forced.name} is forced to lead a cluster that was never founded`);
  return openRound(observed, counted, open, {
    clusterId,
    generation: nextGeneration(observed.cluster, counted, open),
    designated: forced.name,
    claim: 'forced',
    configuration: disksOf(counted),
    highWaterMark: null,
  });
}

/** Above all that was used. One that the status has already, and nobody has seen, was raised for this very round. */
function nextGeneration(cluster: ControlCluster, counted: readonly Counted[], open: StartRound | null): number {
  const known = cluster.status?.generation ?? 0;
  const used = usedGeneration(counted, open);
  return known > used ? known : used + 1;
}

const usedGeneration = (counted: readonly Counted[], open: StartRound | null): number =>
  Math.max(open?.generation ?? 0, ...counted.map(({ report }) => Math.max(report.promise.generation, report.position.epoch.generation)));

interface WayToLead {
  readonly claim: 'elected' | 'recovery';
  readonly generation: number;
  readonly configuration: Configuration;
  readonly candidates: readonly Counted[];
}

const disksOf = (counted: readonly Counted[]): Configuration =>
  counted.map(({ name, report }) => ({ pod: name, incarnation: report.incarnation }));

/** Those whose disks count; all, when nothing was founded yet. */
function votersAmong({ status }: ControlCluster, counted: readonly Counted[]): readonly Counted[] {
  const founding = status?.founding;
  if (founding === undefined && counted.every(({ report }) => report.position.index === 0)) return counted;
  return counted.filter(({ report }) => report.voter || (report.position.index === 0 && isOneOf(founding ?? [], report)));
}

/** A majority of each configuration that the most advanced log names is here: by their disks, whoever else is. */
function canElect(cluster: ControlCluster, counted: readonly Counted[]): boolean {
  const [first, ...others] = votersAmong(cluster, counted);
  if (first === undefined) return false;
  const best = others.reduce((a, b) => (comparePositions(b.report.position, a.report.position) > 0 ? b : a), first);
  const { configurations } = best.report;
  const needed = configurations.length > 0 ? configurations : [cluster.status?.founding ?? disksOf(counted)];
  return needed.every((disks) => 2 * disks.filter((disk) => counted.some(({ report }) => isOneOf([disk], report))).length > disks.length);
}

/**
 * By votes, as long as enough of the disks that count are there. With all members there and too few such disks among them, or with a generation that was raised and
 * that no log has a claim of, a recovery (ADR 10). `null`: nobody can lead before more members are there.
 */
function howToLead(cluster: ControlCluster, counted: readonly Counted[], open: StartRound | null, allPresent: boolean): WayToLead | null {
  const inLogs = Math.max(0, ...counted.map(({ report }) => report.position.epoch.generation));
  const candidates = votersAmong(cluster, counted);
  if (canElect(cluster, counted) && usedGeneration(counted, open) === inLogs)
    return { claim: 'elected', generation: inLogs, configuration: cluster.status?.founding ?? disksOf(candidates), candidates };
  if (!allPresent) return null;
  return { claim: 'recovery', generation: nextGeneration(cluster, counted, open), configuration: disksOf(counted), candidates: counted };
}

/** Whether the stream has what the disks lost only the one who reads it can say, and says it once: it leads no more than without a round, if it has not. */
const mayReadStream = ({ claim }: WayToLead, counted: readonly Counted[]): boolean =>
  claim === 'recovery' && counted.every(({ report }) => report.reason !== 'BelowHighWaterMark');

/** As far as the end of a log tells: the leader checks the mark's hash within its log before it opens (I6). */
function lacks(end: Position, mark: HighWaterMark): boolean {
  const order = comparePositions(end, mark);
  return order < 0 || (order === 0 && end.hash !== mark.hash);
}

function foreignMessage(known: string | undefined, counted: readonly Counted[]): string {
  const logs = counted.flatMap(({ name, report }) => (report.clusterId === null ? [] : [`${name} has the log of ${report.clusterId}`]));
  const own = known === undefined ? '' : `This cluster is ${known}. `;
  return `${own}The members hold logs of different clusters: ${logs.join(', ')}. Give the members that do not belong here an empty volume.`;
}

function belowMessage(best: Counted, mark: HighWaterMark): string {
  const { name, report } = best;
  const have = describePosition(report.position);
  const gap =
    report.position.uid < mark.uid
      ? `${String(mark.uid - report.position.uid)} acknowledged changes are missing`
      : 'it does not hold that change';
  return `The most advanced log that is present, that of ${name}, ends at ${have}, but ${describePosition(mark)} was acknowledged: ${gap}. Bring back the member or volume that has them.`;
}

const describePosition = ({ epoch, uid }: Pick<Position, 'epoch' | 'uid'>): string =>
  `UID ${String(uid)} of epoch ${epoch.generation === 0 ? '' : `${String(epoch.generation)}.`}${String(epoch.number)}`;
