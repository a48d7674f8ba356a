// Taking a snapshot over: when this member lacks frames that another has compacted or that nobody could supply, or its own compacted part is parted from the leader's
// log. From the leader, or from whoever has claimed; while there is neither, from any member that is further: it may be the only one, and need this one's vote. And
// from NATS, when no member gives one. A snapshot holds acknowledged changes only. They are in the log of every later leader (I2), so that it is safe to take what is
// more advanced than the own log; but for what a forced start gave up: a member that gives one must be of the generation that is promised, and so must one in NATS.
import { compareEpochs, type Position } from '../../common/position.ts';
import { isToRecover } from './eligibility.ts';
import { coreLimits } from './limits.ts';
import type { ReceivedSnapshot, SnapshotFound, SnapshotGiver, SnapshotOrigin } from './snapshot.ts';
import { clusterIdOf, hearsLeader, isMoreAdvanced, newToken, note, type Member } from './state.ts';

/** Whom to take a snapshot from; `null` when nothing is lacking that only a snapshot can give. */
export function snapshotGiver(m: Member): SnapshotGiver | null {
  if (m.join.kind !== 'running') return null;
  const pod = furtherMember(m);
  const mayAskNats = m.now.nowMs >= m.transfer.natsAfterMs && (pod !== null || (lacksFrames(m) && takesFromNats(m)));
  // Who could not give it now is asked again after NATS.
  if (pod !== null && (!mayAskNats || !m.transfer.memberFailed)) return { kind: 'member', pod };
  return mayAskNats ? { kind: 'nats' } : null;
}

/** A log end is wanted that the stream has and that no member could supply the ancestors of. */
function lacksFrames(m: Member): boolean {
  const wanted = m.reader.unsupplied;
  return wanted !== null && isMoreAdvanced(wanted, m.log.position()) && !m.log.holds(wanted);
}

/** Who is to recover the cluster waits for what can be had before it claims; who asks for votes has a log that is good enough or learns of a better one. */
const takesFromNats = (m: Member): boolean =>
  m.role.kind === 'follower' || (m.role.kind === 'candidate' && m.role.stage.kind === 'reading' && isToRecover(m));

/** Who has compacted what this member lacks. */
function furtherMember(m: Member): string | null {
  const { leader } = m;
  if (m.role.kind !== 'follower') return null;
  if (leader !== null && compareEpochs(leader.epoch, m.promise) >= 0 && isOutOfReach(m, leader.position, leader.baseIndex))
    return leader.pod;
  if (hearsLeader(m)) return null;
  for (const [pod, { report, heardAtMs }] of m.peers)
    if (m.now.nowMs - heardAtMs < coreLimits.peerFreshMs && isOutOfReach(m, report.position, report.baseIndex)) return pod;
  return null;
}

const isOutOfReach = (m: Member, position: Position, baseIndex: number): boolean =>
  (m.log.length < baseIndex || m.reader.partedBelowBase || (baseIndex > 0 && lacksFrames(m))) &&
  position.epoch.generation >= m.promise.generation &&
  isMoreAdvanced(position, m.log.position()) &&
  !m.log.holds(position);

/** Called at each tick. */
export function fetchSnapshotWhenNeeded(m: Member): void {
  if (m.reloading || m.transfer.token !== null || m.now.nowMs < m.transfer.notBeforeMs) return;
  const from = snapshotGiver(m);
  if (from === null) return;
  m.transfer.token = newToken(m);
  if (from.kind === 'nats') m.effects.push({ kind: 'findSnapshot', token: m.transfer.token });
  else fetch(m, m.transfer.token, from);
}

function fetch(m: Member, token: number, from: SnapshotGiver): void {
  note(m, 'info', 'takes a snapshot over', { from: from.kind === 'nats' ? 'NATS' : from.pod, uid: m.log.position().uid });
  m.effects.push({ kind: 'fetchSnapshot', token, from });
}

/** What NATS has is judged before its bytes are fetched. `null`: it did not answer. */
export function onSnapshotOffered(m: Member, token: number, found: SnapshotFound | null): void {
  if (m.transfer.token !== token) return;
  m.transfer.token = null;
  m.transfer.notBeforeMs = m.now.nowMs + coreLimits.fetchRetryMs;
  if (found === null || snapshotGiver(m)?.kind !== 'nats') return;
  if (found.origin === null || !mayCome(m, found.origin)) {
    m.transfer.natsAfterMs = m.now.nowMs + coreLimits.natsSnapshotRetryMs;
    m.transfer.memberFailed = false;
    return;
  }
  m.transfer.token = newToken(m);
  fetch(m, m.transfer.token, { kind: 'nats' });
}

/** It is on the disk, whole, and not yet in force; `null` when it could not be had. */
export function onSnapshotFetched(m: Member, token: number, received: ReceivedSnapshot | null): void {
  if (m.transfer.token !== token) return;
  m.transfer.token = null;
  m.transfer.notBeforeMs = m.now.nowMs + coreLimits.fetchRetryMs;
  const giver = snapshotGiver(m);
  m.transfer.memberFailed = received === null && giver?.kind === 'member';
  if (received === null || m.reloading || giver === null) return;
  if (!helps(m, received.head)) return seekUnsupplied(m);
  if (giver.kind === 'nats' && !mayCome(m, received.head)) return;
  m.reloading = true;
  m.effects.push({ kind: 'installSnapshot', id: received.id });
}

/** What is lacking lies beyond the snapshot: it is frames that are needed, from who could not give them before. */
function seekUnsupplied(m: Member): void {
  const { reader } = m;
  if (reader.target === null && reader.unsupplied !== null) {
    reader.target = reader.unsupplied;
    reader.fetchTries = 0;
    reader.fetchCursor = 0;
  }
  reader.unsupplied = null;
}

function helps(m: Member, { clusterId, position }: SnapshotOrigin): boolean {
  if (m.log.clusterId !== null && m.log.clusterId !== clusterId) return false;
  // Of a log that parted below the own base even the common part helps: nothing else leads back there.
  if (m.reader.partedBelowBase || position.index > m.log.length) return true;
  return lacksFrames(m) && isMoreAdvanced(position, m.log.position()) && !m.log.holds(position);
}

/** From NATS, where nobody speaks for it: its own position must say that it is of this cluster, and that nothing gave it up. */
function mayCome(m: Member, origin: SnapshotOrigin): boolean {
  const { clusterId, position } = origin;
  if (clusterId !== clusterIdOf(m)) return false;
  // Who is to recover may have promised more than there is.
  if (position.epoch.generation < m.promise.generation && !isToRecover(m)) return false;
  if (!isMoreAdvanced(position, m.log.position()) || m.log.holds(position) || !helps(m, origin)) return false;
  // A frame of a higher epoch at or before its place: the log that went on is another one.
  for (const { frame } of m.reader.orphans.values())
    if (frame.index <= position.index && compareEpochs(frame.epoch, position.epoch) > 0) return false;
  return true;
}
