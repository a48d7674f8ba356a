// What of the stream may go (ADR 11): the messages that nobody who lives needs any more, and that a snapshot in NATS makes needless. The leader decides, right after it
// has seen that snapshot. Nothing rests on it but the size of the stream: who lacks what is gone takes a snapshot.
import type { Position } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import type { MessageOf } from './message.ts';
import { newToken, note, type Member } from './state.ts';

/** `stored` is the position of the snapshot that is whole in NATS at this moment. */
export function purgeStream(m: Member, stored: Position): void {
  const { log } = m;
  // Of a frame that is compacted it is not known where the stream has it.
  if (!log.holds(stored) || stored.index < log.baseIndex) return;
  const needed = Math.min(stored.index, ...readerIndexes(m)) - m.config.retainedFrames;
  const keptFrom = Math.max(needed, log.baseIndex) + 1;
  const beforeSeq = log.lowestSeqFrom(keptFrom);
  if (beforeSeq <= m.upkeep.purgedBeforeSeq) return;
  m.upkeep.purgedBeforeSeq = beforeSeq;
  m.upkeep.token = newToken(m);
  note(m, 'info', 'stream is purged', { beforeSeq, keptFrom });
  m.effects.push({ kind: 'purgeStream', token: m.upkeep.token, beforeSeq });
}

/** What was refused, or not answered, is tried again at the next look. */
export function onPurged(m: Member, token: number, done: boolean): void {
  if (m.upkeep.token !== token) return;
  m.upkeep.token = null;
  if (!done) m.upkeep.purgedBeforeSeq = 0;
}

/** How far those are that read the stream. Who is parted, or has less than the log here, gets what it lacks from a member. */
function readerIndexes(m: Member): number[] {
  const reports = [...m.peers.values(), ...m.replicas.values()].filter(({ heardAtMs }) => m.now.nowMs - heardAtMs < coreLimits.peerFreshMs);
  return reports.flatMap(({ report: { position } }) =>
    position.index >= m.log.baseIndex && m.log.holds(position) ? [position.index] : [],
  );
}

/** A disaster-recovery replica, or who counts no more, said where it is. Only so many are remembered: the oldest word goes first. */
export function onReplicaReport(m: Member, report: MessageOf<'report'>): void {
  m.replicas.delete(report.from);
  m.replicas.set(report.from, { report, heardAtMs: m.now.nowMs });
  for (const [pod] of m.replicas) {
    if (m.replicas.size <= coreLimits.knownReplicas) return;
    m.replicas.delete(pod);
  }
}
