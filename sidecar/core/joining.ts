// A starting member meets a leader that has opened: it compares the logs, joins, or is blocked until the leader has passed it or a person decides (K4, K8, K9).
// What follows from the comparison is decided in `join.ts`.
import { sameEpoch } from '../../common/position.ts';
import { decideJoin } from './join.ts';
import { coreLimits } from './limits.ts';
import type { LocatedEnd, Message } from './message.ts';
import { rewindTo } from './reader.ts';
import { rewindFloor } from './set-aside.ts';
import { newToken, note, type Join, type Member } from './state.ts';

/** A volume of another cluster is in the place of the sender's, or of the own. Nothing that is said across counts; who starts here is blocked. */
export function onForeign(m: Member, message: Message): void {
  if (message.kind !== 'heartbeat' || !message.opened || m.join.kind !== 'undecided') return;
  const facts = { leaderHasLocalEnd: false, localHasLeaderEnd: false, divergedMember: m.config.divergedMember };
  const ids = { localClusterId: m.log.clusterId, leaderClusterId: message.clusterId };
  const decision = decideJoin({ ...facts, ...ids, local: m.log.position(), leader: message.position });
  if (decision.kind === 'blocked') block(m, decision, message.position.uid);
}

/** A starting or blocked member compares itself with a leader that has opened (K4, K8, K9). */
export function judge(m: Member): void {
  const { leader } = m;
  if (leader?.opened !== true || (m.locating !== null && m.now.nowMs - m.locating.atMs < coreLimits.locateRetryMs)) return;
  m.locating = { token: newToken(m), atMs: m.now.nowMs };
  m.effects.push({ kind: 'locate', token: m.locating.token, leader: leader.pod, index: m.log.length });
}

export function onLocated(m: Member, token: number, end: LocatedEnd | null): void {
  const { leader } = m;
  if (m.locating?.token !== token || end === null || leader?.opened !== true || end.index !== m.log.length || m.join.kind === 'running')
    return;
  const local = m.log.position();
  const decision = decideJoin({
    local,
    localClusterId: m.log.clusterId,
    leader: leader.position,
    leaderClusterId: leader.clusterId,
    leaderHasLocalEnd: end.hash === null ? end.epoch !== null && sameEpoch(end.epoch, local.epoch) : end.hash === local.hash,
    localHasLeaderEnd: m.log.holds(leader.position),
    divergedMember: m.config.divergedMember,
  });
  if (decision.kind === 'blocked') return block(m, decision, leader.position.uid);
  note(m, 'info', 'joins', { decision: decision.kind, leader: leader.pod, uid: local.uid, leaderUid: leader.position.uid });
  m.join = { kind: 'running' };
  m.followed = true;
}

/** What the leader does not have is archived, and this member follows. */
export function discardLocal(m: Member): void {
  const { leader } = m;
  if (m.join.kind !== 'blocked' || leader?.opened !== true) return;
  const isForeign = m.log.clusterId !== null && m.log.clusterId !== leader.clusterId;
  if (isForeign && rewindFloor(m) > 0)
    return note(m, 'error', 'a compacted log of another cluster cannot be discarded: give this member an empty volume', {
      uid: m.log.position().uid,
    });
  note(m, 'warn', 'gives its own changes up', { reason: m.join.reason, uid: m.log.position().uid, leader: leader.pod });
  m.join = { kind: 'running' };
  m.followed = true;
  if (isForeign) rewindTo(m, 0);
  // A log that is parted from the leader's is rewound when it is read; one that only goes on where the leader's ends would never be.
  else if (m.log.holds(leader.position) && m.log.length > leader.position.index) {
    if (leader.position.index >= rewindFloor(m)) rewindTo(m, leader.position.index);
    else m.reader.partedBelowBase = true;
  }
}

function block(m: Member, decision: Extract<Join, { kind: 'blocked' }>, leaderUid: number): void {
  if (m.join.kind !== 'blocked') note(m, 'error', 'join is blocked', { reason: decision.reason, uid: m.log.position().uid, leaderUid });
  m.join = decision;
}
