// The highest change that is known to be acknowledged, as the round in the Lease names it: who lacks it may not lead (I6).
import { comparePositions } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import { seek } from './reader.ts';
import { isMoreAdvanced, type Member } from './state.ts';

/** Why this log must not lead; `null` when it holds the mark. */
export function belowMark(m: Member): { readonly reason: string; readonly message: string } | null {
  const mark = m.lease.record?.round?.highWaterMark ?? null;
  if (mark === null || m.log.holds(mark)) return null;
  const message = `this log ends at UID ${String(m.log.position().uid)} and lacks the acknowledged change ${String(mark.uid)}: start the member that has it`;
  return { reason: 'BelowHighWaterMark', message };
}

/** Whoever has more may have come after the round was opened, and may not stand himself: his log is taken over as the stream's is. */
export function seekBetterPeer(m: Member): boolean {
  const fresh = [...m.peers.values()].filter(({ heardAtMs }) => m.now.nowMs - heardAtMs < coreLimits.peerFreshMs);
  const better = fresh.map(({ report }) => report.position).filter((position) => isMoreAdvanced(position, m.log.position()));
  const [best] = better.sort((a, b) => comparePositions(b, a));
  if (best === undefined) return false;
  seek(m, best);
  return true;
}
