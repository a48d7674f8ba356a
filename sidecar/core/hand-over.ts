// Giving leadership away in order: `preStop` asks for it, the heir is told and gets the Lease. Well under a second when the followers are in sync.
// It is advice like the Lease: whoever is told still has to win the votes.
import { stepDown } from './election.ts';
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
  const late = m.now.nowMs - stopping.sinceMs > coreLimits.handOverTimeoutMs;
  if (role.kind === 'leader') {
    if (!late && !hasAcknowledgedAll(m, role)) return;
    const heirs = possibleHeirs(m);
    const heir = heirs.find(({ position }) => position.hash === m.log.position().hash) ?? null;
    // Whoever may lead soon has all there is. When all others stop too there is nobody to wait for.
    if (heir === null && heirs.length > 0 && !late) return;
    stopping.heir = heir?.identity ?? '';
    if (heir !== null) {
      const message = { kind: 'handOver', from: m.config.pod, clusterId: clusterIdOf(m), to: heir.from, epoch: role.epoch } as const;
      m.effects.push({ kind: 'send', to: heir.from, message });
    }
    note(m, 'info', 'hands leadership over', { to: heir?.from ?? null, uid: m.log.position().uid });
  }
  stepDown(m, 'this member stops', true);
  // A renewal may be under way, or the operator may write in between: until the Lease is seen to be another's, it is not given away.
  releaseLease(m, stopping.heir);
  stopping.released = late || !m.lease.mine;
}

const hasAcknowledgedAll = (m: Member, leader: Leader): boolean =>
  leader.publishing === null && leader.queue.length === 0 && m.acknowledgedIndex === m.log.length;

/** Those who live and may lead, in the order of failover.csv. */
function possibleHeirs(m: Member): MessageOf<'report'>[] {
  const others = m.order.filter((pod) => pod !== m.config.pod).flatMap((pod) => m.peers.get(pod) ?? []);
  return others
    .filter(({ report, heardAtMs }) => report.eligible && m.now.nowMs - heardAtMs < coreLimits.peerFreshMs)
    .map(({ report }) => report);
}
