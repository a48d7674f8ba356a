// Giving leadership away in order: `preStop` asks for it, or a person who wants another to lead. The heir is told and gets the Lease. Well under a second when
// the followers are in sync. It is advice like the Lease: whoever is told still has to win the votes.
import { stepDown } from './election.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { coreLimits } from './limits.ts';
import type { MessageOf } from './message.ts';
import type { Leader } from './role.ts';
import { ownReport } from './eligibility.ts';
import { clusterIdOf, note, type Member } from './state.ts';
import { releaseLease } from './turn.ts';

export function beginToStop(m: Member): void {
  if (m.stopping !== null) return;
  m.stopping = { sinceMs: m.now.nowMs, heir: '', released: false };
  // So that nobody hands over to a member that ends.
  m.effects.push({ kind: 'send', to: '*', message: ownReport(m, 0) });
}

/** `preStop`: no new writes, the last frame is acknowledged, the most advanced follower is told to try and gets the Lease. */
export function handOver(m: Member): void {
  const { stopping, role } = m;
  // Another that ends may have given the Lease to this one, of which it did not know that it ends too.
  if (stopping === null || (stopping.released && !m.lease.mine)) return;
  const late = isLate(m, stopping.sinceMs);
  if (role.kind === 'leader') {
    if (!late && !hasAcknowledgedAll(m, role)) return;
    const heirs = possibleHeirs(m);
    const heir = heirs.find((one) => hasWholeLog(m, one)) ?? null;
    // Whoever may lead soon has all there is. When all others stop too there is nobody to wait for.
    if (heir === null && heirs.length > 0 && !late) return;
    stopping.heir = heir?.identity ?? '';
    tellHeir(m, role, heir);
  }
  stepDown(m, 'this member stops', true);
  // A renewal may be under way, or the operator may write in between: until the Lease is seen to be another's, it is not given away.
  releaseLease(m, stopping.heir);
  stopping.released = late || !m.lease.mine;
}

/** A person wants `to` to lead. One request is heeded once, however often it is told. */
export function beginSwitchOver(m: Member, to: string, request: string): void {
  const { role } = m;
  const isNew = request !== m.switchOverRequest;
  m.switchOverRequest = request;
  if (!isNew || role.kind !== 'leader' || role.switchOver !== null || m.stopping !== null) return;
  // What it reported before may be all there was of it: it has to answer this round.
  role.round += 1;
  role.switchOver = { to, sinceMs: m.now.nowMs, round: role.round };
  sendHeartbeat(m, role);
  switchOver(m, role);
}

/** Hands over to the one that is to lead as soon as that has answered and has all there is. This one leads on when that may not lead, is not heard, or takes too long. */
export function switchOver(m: Member, leader: Leader): void {
  if (leader.switchOver === null) return;
  const { to, sinceMs, round } = leader.switchOver;
  const heir = possibleHeirs(m).find(({ from }) => from === to) ?? null;
  if (heir === null || isLate(m, sinceMs)) {
    leader.switchOver = null;
    const reason = heir === null ? 'it may not lead, or is not heard' : 'a majority, or it, did not take the last frame in time';
    return note(m, 'warn', 'leads on, no switch-over', { to, reason, uid: m.log.position().uid });
  }
  if (heir.round < round || !hasAcknowledgedAll(m, leader) || !hasWholeLog(m, heir)) return;
  tellHeir(m, leader, heir);
  stepDown(m, `${to} is to lead`, true);
  // As long as the heir tries this one does not.
  m.campaignAfterMs = m.now.nowMs + coreLimits.handOverTimeoutMs;
  releaseLease(m, heir.identity);
}

function tellHeir(m: Member, leader: Leader, heir: MessageOf<'report'> | null): void {
  if (heir !== null) {
    const message = { kind: 'handOver', from: m.config.pod, clusterId: clusterIdOf(m), to: heir.from, epoch: leader.epoch } as const;
    m.effects.push({ kind: 'send', to: heir.from, message });
  }
  note(m, 'info', 'hands leadership over', { to: heir?.from ?? null, uid: m.log.position().uid });
}

const isLate = (m: Member, sinceMs: number): boolean => m.now.nowMs - sinceMs > coreLimits.handOverTimeoutMs;
const hasWholeLog = (m: Member, { position }: MessageOf<'report'>): boolean => position.hash === m.log.position().hash;
const hasAcknowledgedAll = (m: Member, leader: Leader): boolean =>
  leader.publishing === null && leader.queue.length === 0 && m.acknowledgedIndex === m.log.length;

/** Those who live and may lead, in the order of failover.csv. */
function possibleHeirs(m: Member): MessageOf<'report'>[] {
  const others = m.order.filter((pod) => pod !== m.config.pod).flatMap((pod) => m.peers.get(pod) ?? []);
  return others
    .filter(({ report, heardAtMs }) => report.eligible && m.now.nowMs - heardAtMs < coreLimits.peerFreshMs)
    .map(({ report }) => report);
}
