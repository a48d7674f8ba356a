// Where a member stands, in words for people. It decides nothing.
import type { MemberPhase } from '../../common/report.ts';
import { coreLimits } from './limits.ts';
import { isEligible } from './eligibility.ts';
import { isElectable, type Member } from './state.ts';

const withoutStream = (problem: string) =>
  ({ phase: 'Waiting', reason: 'StreamUnavailable', message: `${problem}; check spec.replication.nats and the NATS servers` }) as const;

const isBehind = ({ behind, now }: Member): boolean =>
  behind !== null && (behind.late || now.nowMs - behind.sinceMs > coreLimits.behindToleranceMs);

/** The phase, and in every phase but Leading and Following the reason and the next step. */
export function phaseOf(m: Member): { readonly phase: MemberPhase; readonly reason?: string; readonly message?: string } {
  if (m.role.kind === 'leader')
    return {
      phase: m.stopping === null ? 'Leading' : 'Stopping',
      ...(m.stopping === null ? {} : { reason: 'HandingOver', message: 'hands leadership over' }),
    };
  if (m.stopping !== null) return { phase: 'Stopping', reason: 'Stopping', message: 'the pod is being stopped' };
  if (m.join.kind === 'blocked') return { phase: 'Blocked', reason: m.join.reason, message: m.join.message };
  if (m.connectionProblem !== null) return withoutStream(m.connectionProblem);
  if (m.refusal !== null) return { phase: 'Waiting', ...m.refusal };
  if (m.streamProblem !== null && (m.role.kind === 'candidate' || m.leader?.opened !== true)) return withoutStream(m.streamProblem);
  if (m.role.kind === 'candidate') return { phase: 'Waiting', reason: 'Electing', message: `stands for election: ${m.role.stage.kind}` };
  if (m.leader?.opened === true && m.join.kind === 'running') {
    return m.synced && !isBehind(m)
      ? { phase: 'Following' }
      : {
          phase: 'CatchingUp',
          reason: 'CatchingUp',
          message: `${String(Math.max(m.leader.position.uid - m.store.uid, 0))} changes behind ${m.leader.pod}`,
        };
  }
  if (isElectable(m) && m.disk !== 'registered')
    return {
      phase: 'Starting',
      reason: 'DiskUnverified',
      message: 'waits for the API server: the member Lease tells whether this disk is the one that took part before',
    };
  if (isElectable(m) && !isEligible(m))
    return { phase: 'Waiting', reason: 'StartRound', message: 'waits for the operator to open the start round' };
  return { phase: 'Waiting', reason: 'NoLeader', message: 'no leader is heard; waits for an election' };
}
