// All that is concluded from one observation, before anything is done about it: who leads, whether a start round is due, what is to be rolled out.
// Status, events and actions are made from this, so that they cannot disagree.
import { annotations } from '../../common/names.ts';
import { digestOf, isOurs } from './drift.ts';
import { judgeLeadership, type Leadership } from './leadership.ts';
import { membersOf, objectKey, type MemberView, type Observed } from './observed.ts';
import { decideRollout, type Rollout } from './rollout.ts';
import { decideStartRound, type StartDecision } from './start-round.ts';

export interface Judgement {
  readonly members: readonly MemberView[];
  readonly leadership: Leadership;
  readonly start: StartDecision;
  readonly rollout: Rollout;
  readonly paused: boolean;
  /** Why the objects are not as the specification wants them, and waiting alone does not change it. */
  readonly hindrance: { readonly reason: string; readonly message: string } | null;
}

export function judge(observed: Observed): Judgement {
  const { cluster, leaderLease, pods } = observed;
  const members = membersOf(observed);
  const leadership = judgeLeadership(cluster, leaderLease, members, pods);
  return {
    members,
    leadership,
    start: decideStartRound(observed, members, leadership),
    rollout: decideRollout(observed, members, leadership),
    paused: cluster.metadata.annotations?.[annotations.paused] === 'true',
    hindrance: hindranceOf(observed),
  };
}

function hindranceOf({ cluster, desired, live, refusals }: Observed): Judgement['hindrance'] {
  if (desired.kind === 'invalid') return { reason: desired.reason, message: desired.message };
  for (const object of desired.objects) {
    const key = objectKey(object);
    const refusal = refusals.get(key);
    if (refusal?.digest === digestOf(object))
      return { reason: 'Refused', message: `${object.kind} ${object.metadata.name}: ${refusal.message}` };
    const found = live.get(key);
    if (found !== undefined && !isOurs(found.object, cluster.metadata.uid))
      return {
        reason: 'NameTaken',
        message: `${object.kind} ${object.metadata.name} exists and belongs to something else. Remove it, or choose another name.`,
      };
  }
  return null;
}
