// Taking a snapshot over: when this member lacks frames that another has compacted, or its own compacted part is parted from the leader's log. From the leader,
// or from whoever has claimed; while there is neither, from any member that is further: it may be the only one, and need this one's vote.
// A snapshot holds acknowledged changes only. They are in the log of every later leader (I2), so that it is safe to take what is more advanced than the own log;
// but for what a forced start gave up: whoever gives one must be of the generation that is promised.
import { compareEpochs, type Position } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import type { SnapshotHead } from './snapshot.ts';
import { hearsLeader, isMoreAdvanced, newToken, note, type Member } from './state.ts';

/** Who has compacted what this member lacks; `null` when nothing is lacking that only a snapshot can give. */
export function snapshotSource(m: Member): string | null {
  const { leader } = m;
  if (m.join.kind !== 'running' || m.role.kind !== 'follower') return null;
  if (leader !== null && compareEpochs(leader.epoch, m.promise) >= 0 && isOutOfReach(m, leader.position, leader.baseIndex))
    return leader.pod;
  if (hearsLeader(m)) return null;
  for (const [pod, { report, heardAtMs }] of m.peers)
    if (m.now.nowMs - heardAtMs < coreLimits.peerFreshMs && isOutOfReach(m, report.position, report.baseIndex)) return pod;
  return null;
}

const isOutOfReach = (m: Member, position: Position, baseIndex: number): boolean =>
  (m.log.length < baseIndex || m.reader.partedBelowBase) &&
  position.epoch.generation >= m.promise.generation &&
  isMoreAdvanced(position, m.log.position()) &&
  !m.log.holds(position);

/** Called at each tick. */
export function fetchSnapshotWhenNeeded(m: Member): void {
  if (m.reloading || m.transfer.token !== null || m.now.nowMs < m.transfer.notBeforeMs) return;
  const from = snapshotSource(m);
  if (from === null) return;
  m.transfer.token = newToken(m);
  note(m, 'info', 'takes a snapshot over', { from, uid: m.log.position().uid });
  m.effects.push({ kind: 'fetchSnapshot', token: m.transfer.token, from });
}

/** It is on the disk, whole, and not yet in force; `null` when it could not be had. */
export function onSnapshotFetched(m: Member, token: number, received: { readonly id: string; readonly head: SnapshotHead } | null): void {
  if (m.transfer.token !== token) return;
  m.transfer.token = null;
  m.transfer.notBeforeMs = m.now.nowMs + coreLimits.fetchRetryMs;
  if (received === null || m.reloading || snapshotSource(m) === null) return;
  const { clusterId, position } = received.head;
  // Of a log that parted below the own base even the common part helps: nothing else leads back there.
  if (!m.reader.partedBelowBase && position.index <= m.log.length) return;
  if (m.log.clusterId !== null && m.log.clusterId !== clusterId) return;
  m.reloading = true;
  m.effects.push({ kind: 'installSnapshot', id: received.id });
}
