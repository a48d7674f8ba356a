// All that is concluded from one observation, before anything is done about it: who leads, whether a start round is due, what is to be rolled out.
// Status, events and actions are made from this, so that they cannot disagree.
import { annotations } from '../../common/names.ts';
import { isOurs } from './drift.ts';
import { judgeLeadership, type Leadership } from './leadership.ts';
import { membersOf, objectKey, type MemberView, type Observed } from './observed.ts';
import { decideRollout, type Rollout } from './rollout.ts';
import { decideStartRound, type StartDecision } from './start-round.ts';
import { refusalOf, subjectOf, writesOf, type Write } from './writes.ts';

export interface Judgement {
  readonly members: readonly MemberView[];
  readonly leadership: Leadership;
  readonly start: StartDecision;
  readonly rollout: Rollout;
  readonly paused: boolean;
  /** What is to be written, in order, whether it is time for it or not; nothing while paused. */
  readonly writes: readonly Write[];
  /** Why the objects are not as the specification wants them, and waiting alone does not change it. */
  readonly hindrance: { readonly reason: string; readonly message: string } | null;
}

export function judge(observed: Observed): Judgement {
  const { cluster, leaderLease, pods } = observed;
  const members = membersOf(observed);
  const leadership = judgeLeadership(cluster, leaderLease, members, pods);
  const start = decideStartRound(observed, members, leadership);
  const rollout = decideRollout(observed, members, leadership, start);
  const paused = cluster.metadata.annotations?.[annotations.paused] === 'true';
  const writes = paused ? [] : writesOf(observed, members, leadership, start, rollout);
  return { members, leadership, start, rollout, paused, writes, hindrance: hindranceOf(observed, writes) };
}

function hindranceOf({ cluster, desired, live, refusals }: Observed, writes: readonly Write[]): Judgement['hindrance'] {
  if (desired.kind === 'invalid') return { reason: desired.reason, message: desired.message };
  for (const write of writes) {
    const refusal = refusalOf(write, refusals);
    if (refusal !== null) return { reason: 'Refused', message: `${subjectOf(write).subject}: ${refusal.message}` };
  }
  const taken = desired.objects.find((object) => {
    const found = live.get(objectKey(object));
    return found !== undefined && !isOurs(found.object, cluster.metadata.uid);
  });
  if (taken === undefined) return null;
  const message = `${taken.kind} ${taken.metadata.name} exists and belongs to something else. Remove it, or choose another name.`;
  return { reason: 'NameTaken', message };
}
