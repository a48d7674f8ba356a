// Who may stand for election, by votes or by order of the operator (ADR 10), and what a member reports of itself. It changes nothing.
import type { StartRound } from '../../common/report.ts';
import type { MessageOf } from './message.ts';
import { isVoter } from './quorum.ts';
import { clusterIdOf, inRound, isElectable, type Member } from './state.ts';

/** The round that lets this member claim without votes; `null` when there is none. Its epoch has the number 0, and is tried once. */
export function unvotedRound(m: Member): StartRound | null {
  const round = m.lease.record?.round ?? null;
  if (round === null || round.claim === 'elected' || round.designated !== m.config.pod || !inRound(m) || m.disk !== 'registered')
    return null;
  const { promise } = m;
  const untried =
    promise.generation < round.generation || (promise.generation === round.generation && promise.number === 0 && promise.nonce === '');
  return untried && m.log.lastEpoch.generation < round.generation ? round : null;
}

/** It reads the stream to its end before it claims, whatever it had promised: what it takes over then is counted by nobody. */
export const isToRecover = (m: Member): boolean => unvotedRound(m)?.claim === 'recovery';

/** The log holds the claim of the highest generation that is known: until then nobody stands for election. */
const isOfGeneration = (m: Member): boolean =>
  m.log.lastEpoch.generation >= Math.max(m.promise.generation, m.lease.record?.round?.generation ?? 0);

/** All who were counted in the round have promised its generation: what they report can grow no more. */
export const isPromisedByAll = (m: Member, round: StartRound): boolean =>
  round.counted.every(({ pod }) => pod === m.config.pod || (m.peers.get(pod)?.report.promise.generation ?? -1) >= round.generation);

/** May stand for election without a new start round. */
export const isEligible = (m: Member): boolean =>
  isElectable(m) &&
  m.stopping === null &&
  m.join.kind === 'running' &&
  (unvotedRound(m) !== null || ((m.followed || inRound(m)) && isVoter(m) && isOfGeneration(m)));

/** What this member has durable, as it tells the others. */
export function ownReport(m: Member, round: number): MessageOf<'report'> {
  return {
    kind: 'report',
    from: m.config.pod,
    clusterId: clusterIdOf(m),
    identity: m.identity,
    incarnation: m.disk === 'registered' ? m.hardState.incarnation : '',
    promise: m.durable.promise,
    position: m.durable.position,
    baseIndex: m.log.baseIndex,
    eligible: isEligible(m),
    synced: m.synced,
    round,
  };
}
