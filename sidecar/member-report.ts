// What a member says of itself: to the operator on its Lease, to people over the Process API, and in the status file.
import type { HighWaterMark, MemberReport } from '../common/report.ts';
import type { RoleView } from './http/process.ts';
import type { DiscardedChanges } from './discarded-changes.ts';
import { phaseOf } from './core/phase.ts';
import { configurationsInLog, isVoter } from './core/quorum.ts';
import { isEligible } from './core/eligibility.ts';
import { type Member } from './core/state.ts';

/** What the core does not know. */
export interface ReportOptions {
  /** `host:port` of the Process API. */
  readonly address: string;
  readonly version: string;
}

export function memberReport(m: Member, { address, version }: ReportOptions, { newest }: DiscardedChanges): MemberReport {
  const { pod, podUid, session, kind } = m.config;
  return {
    version: 1,
    pod,
    podUid,
    session,
    role: kind,
    incarnation: m.disk === 'registered' || m.disk === 'registering' ? m.hardState.incarnation : '',
    voter: isVoter(m),
    configurations: configurationsInLog(m),
    ...phaseOf(m),
    clusterId: m.log.clusterId,
    promise: m.durable.promise,
    position: m.durable.position,
    acknowledged: acknowledged(m),
    eligible: isEligible(m),
    leader: leaderOf(m),
    lag: m.role.kind === 'leader' ? 0 : Math.max((m.leader?.acknowledged.uid ?? m.store.uid) - m.store.uid, 0),
    address,
    sidecarVersion: version,
    ...(newest.length === 0 ? {} : { discarded: newest }),
  };
}

/** What is told when a part of it changes. The journal's end is one: a change can be read once it is durable here, which may be after it was acknowledged. */
export function outlineOf(m: Member): readonly (string | number | boolean | undefined)[] {
  const { phase, reason, message } = phaseOf(m);
  const { configurations, confirmedIndex } = m.log;
  return [
    phase,
    reason === 'StreamUnavailable' ? message : reason,
    m.leader?.pod,
    m.synced,
    isEligible(m),
    m.disk,
    isVoter(m),
    configurations.length,
    confirmedIndex >= (configurations.at(-1)?.index ?? 0),
    m.durable.position.index,
    m.store.index,
    m.promise.generation,
    m.promise.number,
  ];
}

function acknowledged(m: Member): HighWaterMark | null {
  const { epoch, uid, index, hash } = m.log.position(m.acknowledgedIndex);
  return index === 0 ? null : { epoch, uid, index, hash };
}

export function leaderOf(m: Member): string | null {
  if (m.role.kind === 'leader') return m.config.pod;
  return m.leader?.opened === true ? m.leader.pod : null;
}

export function roleView(m: Member): RoleView {
  const { phase } = phaseOf(m);
  const follows = phase === 'Following';
  const role = m.role.kind === 'leader' ? 'leader' : !follows ? 'none' : m.config.kind === 'dr' ? 'dr' : 'follower';
  const epoch = m.role.kind === 'leader' ? m.role.epoch : (m.leader?.epoch ?? m.promise);
  return { role, phase, epoch: epoch.number, leader: leaderOf(m), uid: m.store.uid };
}
