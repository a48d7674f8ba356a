// Whose turn it is to take the Lease, and giving it back. The Lease is advice: nothing here is a matter of safety.
import { comparePositions } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import { inRound, type Member } from './state.ts';

/** Frees the Lease, or hands it to `holder`, when it is this member's, or that of an earlier process of its pod. */
export function releaseLease(m: Member, holder: string): void {
  if (!m.lease.mine && !m.lease.isAbandoned) return;
  const version = m.lease.versionToWrite(m.now.nowMs, true);
  if (version !== null) m.effects.push({ kind: 'writeLease', holder, version });
}

/** How long the Lease must have been free before this member takes it: the most advanced first, on a tie in the order of failover.csv (K6). */
export function turnMs(m: Member): number {
  const own = m.log.position();
  const ownPlace = m.order.indexOf(m.config.pod);
  const ahead = m.order.filter((pod, place) => {
    const peer = m.peers.get(pod);
    if (pod === m.config.pod || peer === undefined || !peer.report.eligible || m.now.nowMs - peer.heardAtMs > coreLimits.peerFreshMs)
      return false;
    const order = comparePositions(peer.report.position, own);
    return order > 0 || (order === 0 && place < ownPlace);
  });
  const designated = m.lease.record?.round?.designated;
  const headStartMs = !m.followed && inRound(m) && designated !== m.config.pod ? coreLimits.designatedHeadStartMs : 0;
  return headStartMs + ahead.length * coreLimits.rankDelayMs;
}
