// A round of a higher generation (ADR 10): a recovery, when too few of the disks that count are left, or a forced start (K10). All who see it promise it,
// so that no leader before it gets an acknowledgement from them. How its leader claims is in `election.ts`.
import { stepDown } from './election.ts';
import { unvotedRound } from './eligibility.ts';
import { persistHardState, sawEpoch, type Member } from './state.ts';

/** Promises the generation of the round. Whoever recovers first reads the stream to its end, and promises then. */
export function promiseGeneration(m: Member): void {
  const round = m.lease.record?.round ?? null;
  if (round === null || round.generation <= m.promise.generation || m.disk !== 'registered' || m.reloading) return;
  if (m.log.clusterId !== null && m.log.clusterId !== round.clusterId) return;
  const unvoted = unvotedRound(m);
  if (unvoted !== null && m.join.kind === 'blocked') m.join = { kind: 'running' };
  if (unvoted?.claim === 'recovery') return;
  stepDown(m, 'the generation was raised', true);
  m.promise = { generation: round.generation, number: 0, nonce: '' };
  sawEpoch(m, m.promise);
  persistHardState(m);
}
