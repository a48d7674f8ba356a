// Taking a snapshot over from the leader: when this member lacks frames that the leader has compacted, or its own compacted part is parted from the leader's log.
// A snapshot holds acknowledged changes only, of a leader whose epoch is not below the promise: it is followed as its frames would be.
import { compareEpochs } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import type { SnapshotHead } from './snapshot.ts';
import { isMoreAdvanced, newToken, note, type Member } from './state.ts';

export function needsSnapshot(m: Member): boolean {
  const { leader } = m;
  if (leader?.opened !== true || m.join.kind !== 'running' || m.role.kind !== 'follower') return false;
  if (compareEpochs(leader.epoch, m.promise) < 0 || m.log.holds(leader.position) || !isMoreAdvanced(leader.position, m.log.position()))
    return false;
  return m.log.length < leader.baseIndex || m.reader.partedBelowBase;
}

/** Called at each tick. */
export function fetchSnapshotWhenNeeded(m: Member): void {
  if (m.reloading || m.transfer.token !== null || m.now.nowMs < m.transfer.notBeforeMs || m.leader === null || !needsSnapshot(m)) return;
  m.transfer.token = newToken(m);
  note(m, 'info', 'takes a snapshot over', { leader: m.leader.pod, uid: m.log.position().uid });
  m.effects.push({ kind: 'fetchSnapshot', token: m.transfer.token, from: m.leader.pod });
}

/** It is on the disk, whole, and not yet in force; `null` when it could not be had. */
export function onSnapshotFetched(m: Member, token: number, received: { readonly id: string; readonly head: SnapshotHead } | null): void {
  if (m.transfer.token !== token) return;
  m.transfer.token = null;
  m.transfer.notBeforeMs = m.now.nowMs + coreLimits.fetchRetryMs;
  if (received === null || m.reloading || !needsSnapshot(m) || m.log.holds(received.head.position)) return;
  if (m.log.clusterId !== null && m.log.clusterId !== received.head.clusterId) return;
  m.reloading = true;
  m.effects.push({ kind: 'installSnapshot', id: received.id });
}
