// Linearizable reads on the leader (I9): confirmed by a quorum after they were asked, one heartbeat round for all that wait. Never by Lease or clock.
// What is read then is the caller's matter: it learns the UID that its state must have reached.
import type { ErrorCode } from '../../common/errors.ts';
import { coreLimits } from './limits.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { isQuorumAlone } from './quorum.ts';
import type { Leader } from './role.ts';
import type { Member } from './state.ts';

export function onRead(m: Member, id: number): void {
  const { role } = m;
  if (role.kind !== 'leader') return refuseRead(m, id, 'no_leader', 'this member does not lead');
  if (role.reads.length >= coreLimits.pendingReads)
    return refuseRead(m, id, 'queue_full', `${String(coreLimits.pendingReads)} reads wait already`);
  role.reads.push({ id, round: null, deadlineMs: m.now.nowMs + coreLimits.submitTimeoutMs });
  answerReads(m, role);
}

export function answerReads(m: Member, leader: Leader): void {
  const alone = isQuorumAlone(m);
  if (alone) leader.confirmedRound = leader.round;
  const confirmed = leader.reads.filter(({ round }) => round !== null && round <= leader.confirmedRound);
  if (confirmed.length > 0) leader.reads = leader.reads.filter(({ round }) => round === null || round > leader.confirmedRound);
  for (const { id } of confirmed) m.effects.push({ kind: 'answerRead', id, result: { kind: 'confirmed', uid: m.store.uid } });
  if (leader.round > leader.confirmedRound || !leader.reads.some(({ round }) => round === null)) return;
  leader.round += 1;
  for (const read of leader.reads) read.round ??= leader.round;
  sendHeartbeat(m, leader);
  if (alone) answerReads(m, leader);
}

export function expireReads(m: Member, leader: Leader): void {
  const { nowMs } = m.now;
  for (const { id, deadlineMs } of leader.reads)
    if (deadlineMs <= nowMs) refuseRead(m, id, 'no_leader', 'no majority confirmed the leader in time');
  leader.reads = leader.reads.filter(({ deadlineMs }) => deadlineMs > nowMs);
}

export function refuseRead(m: Member, id: number, code: ErrorCode, detail: string): void {
  m.effects.push({ kind: 'answerRead', id, result: { kind: 'refused', code, detail } });
}
