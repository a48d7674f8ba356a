// What a starting member does when it meets a leader that has opened (design: `decideJoin`; rules K4, K8, K9).
// A running member is never judged by this: it rewinds by the reading rules.
import type { Position } from '../../common/position.ts';

export interface JoinFacts {
  readonly local: Position;
  /** `null` when the local log is empty. */
  readonly localClusterId: string | null;
  readonly leader: Position;
  readonly leaderClusterId: string;
  /** The leader's log contains the end of the local log. */
  readonly leaderHasLocalEnd: boolean;
  /** The local log contains the end of the leader's log. */
  readonly localHasLeaderEnd: boolean;
  readonly divergedMember: 'Archive' | 'Block';
}

export type BlockedReason = 'ForeignLog' | 'AheadOfLeader' | 'Diverged';

export type JoinDecision =
  | { readonly kind: 'sync' }
  | { readonly kind: 'follow' }
  | { readonly kind: 'archiveAndFollow' }
  | { readonly kind: 'blocked'; readonly reason: BlockedReason; readonly message: string };

export function decideJoin(facts: JoinFacts): JoinDecision {
  const { local, leader } = facts;
  if (local.index === 0) return { kind: 'sync' };
  if (facts.localClusterId !== facts.leaderClusterId) {
    return blocked(
      'ForeignLog',
      `the log on this volume is of cluster ${String(facts.localClusterId)}, the leader's of ${facts.leaderClusterId}: give this member the volume that belongs to it, or an empty one`,
    );
  }
  if (facts.leaderHasLocalEnd) return { kind: 'follow' };
  if (facts.localHasLeaderEnd || leader.uid < local.uid) {
    return blocked(
      'AheadOfLeader',
      `this member has changes up to UID ${String(local.uid)}, the leader up to ${String(leader.uid)}: it waits, so that they are not lost; it joins and archives them once the cluster has passed UID ${String(local.uid)}`,
    );
  }
  if (facts.divergedMember === 'Block') {
    return blocked(
      'Diverged',
      `this member's log parted from the leader's (UID ${String(local.uid)} here, ${String(leader.uid)} there) and spec.startup.divergedMember is Block: set it to Archive to let this member archive its own changes and follow`,
    );
  }
  return { kind: 'archiveAndFollow' };
}

function blocked(reason: BlockedReason, message: string): JoinDecision {
  return { kind: 'blocked', reason, message };
}
