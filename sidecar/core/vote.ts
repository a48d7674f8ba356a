// Granting a vote to a candidate; asking for votes is in `election.ts`. Safety rests on this (I2, I3).
import { compareEpochs, comparePositions, sameEpoch, type Epoch } from '../../common/position.ts';
import { stepDown } from './election.ts';
import { coreLimits } from './limits.ts';
import type { MessageOf } from './message.ts';
import { seek } from './reader.ts';
import { isKnown } from './quorum.ts';
import { clusterIdOf, isElectable, persistHardState, sawEpoch, type Member } from './state.ts';

/**
 * A vote is durable before it is given, and given only to a log that is not less advanced than the own. It raises the promise above the frames that the
 * own log lacks, which then are taken over together with the claim or not at all: who lacks many catches up first.
 */
export function onVoteRequest(m: Member, request: MessageOf<'voteRequest'>): void {
  sawEpoch(m, request.epoch);
  // A disk that is not known to be the one that voted before gives no vote.
  if (!isElectable(m) || !isKnown(m, request.from) || m.reloading || m.disk !== 'registered') return;
  const repeats = sameEpoch(request.epoch, m.promise) && m.role.kind === 'follower';
  const grants = (repeats || compareEpochs(request.epoch, m.promise) > 0) && comparePositions(request.position, m.log.position()) >= 0;
  if (!grants) return answerVote(m, request.from, request.epoch, false);
  if (m.join.kind === 'undecided' || isAheadNoMore(m, request.position.uid)) m.join = { kind: 'running' };
  // Who is blocked keeps its own log, and takes nothing over.
  if (!repeats && m.join.kind === 'running' && request.position.index - m.log.length > coreLimits.voterLagFrames) {
    seek(m, request.position);
    return answerVote(m, request.from, request.epoch, false);
  }
  stepDown(m, `voted for ${request.from}`);
  m.promise = request.epoch;
  persistHardState(m, () => {
    if (sameEpoch(m.promise, request.epoch)) answerVote(m, request.from, request.epoch, true);
  });
}

/**
 * It was blocked since it was ahead of a leader; the candidate has come as far (K9). Without this a blocked majority would vote and never take the claim,
 * and the candidate's heartbeats would keep it blocked. What is parted for a person to judge stays so.
 */
const isAheadNoMore = ({ join, log, config }: Member, uid: number): boolean =>
  join.kind === 'blocked' && join.reason === 'AheadOfLeader' && config.divergedMember === 'Archive' && uid >= log.position().uid;

function answerVote(m: Member, to: string, epoch: Epoch, granted: boolean): void {
  m.effects.push({
    kind: 'send',
    to,
    message: {
      kind: 'voteAnswer',
      from: m.config.pod,
      clusterId: clusterIdOf(m),
      incarnation: m.hardState.incarnation,
      epoch,
      granted,
      promise: m.promise,
      position: m.log.position(),
    },
  });
}
