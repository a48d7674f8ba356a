// Bringing a new pod template to the pods, one at a time: disaster-recovery replicas, then followers, then the leader (K13).
// A pod is replaced when all that were replaced before it are ready; one that takes part in the cluster, only while all others do too.
// What has no part in it waits for nobody, so that a bad template can be corrected, and costs the majority nothing.
// Deleting the leader's pod is enough: its preStop hook hands the leadership over.
import { drStatefulSetName } from '../../common/names.ts';
import type { Leadership } from './leadership.ts';
import type { MemberView, Observed, ObservedPod } from './observed.ts';
import type { StartDecision } from './start-round.ts';
import { whyNotReady } from './why.ts';

export type Rollout =
  | { readonly kind: 'settled' }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'replace'; readonly pod: string; readonly podUid: string; readonly message: string };

export function decideRollout(observed: Observed, members: readonly MemberView[], leadership: Leadership, start: StartDecision): Rollout {
  const outdated = members.filter((member) => isOutdated(observed, member));
  if (outdated.length === 0) return { kind: 'settled' };
  const left = `${String(outdated.length)} of ${String(members.length)} pods have an older template`;
  // Which pods are outdated is known of all or of none: the order would start in the middle.
  const unseen = observed.statefulSets.find(({ updateRevision }) => updateRevision === null);
  if (unseen !== undefined) return { kind: 'waiting', message: `${left}; waits for Kubernetes to look at StatefulSet ${unseen.name}.` };
  const leaving = members.find((member) => member.pod === null || member.pod.deleting);
  if (leaving !== undefined) return { kind: 'waiting', message: `${left}; waits for ${leaving.name} to come back.` };

  const [next] = outdated.toSorted((a, b) => rank(a, leadership) - rank(b, leadership));
  if (!next?.pod) return { kind: 'settled' };
  const taking = takesPart(next, leadership);
  const hasNotStarted = start.kind === 'gathering' || start.kind === 'refused';
  if (!isDown(next.pod) && (taking || !hasNotStarted)) {
    const hindrance = members.find(
      (other) => other !== next && (outdated.includes(other) ? taking && !takesPart(other, leadership) : !isReady(other)),
    );
    if (hindrance !== undefined) {
      const reason = whyNotReady(hindrance)?.message ?? 'its pod is not ready';
      return { kind: 'waiting', message: `${left}; ${next.name} is next, when ${hindrance.name} is ready (${reason})` };
    }
    if (taking && leadership.kind !== 'led') return { kind: 'waiting', message: `${left}; waits for a leader.` };
  }
  return { kind: 'replace', pod: next.name, podUid: next.pod.uid, message: `${left}; replaces ${next.name}.` };
}

function isOutdated({ cluster, statefulSets }: Observed, { kind, pod }: MemberView): boolean {
  const name = kind === 'member' ? cluster.metadata.name : drStatefulSetName(cluster.metadata.name);
  const revision = statefulSets.find((set) => set.name === name)?.updateRevision ?? null;
  return pod !== null && revision !== null && !pod.deleting && pod.revision !== revision;
}

const isInSync = (member: MemberView): boolean => whyNotReady(member) === null;
const isReady = (member: MemberView): boolean => member.pod?.ready === true && isInSync(member);

/** It is in sync, or votes for a leader with whom it will be. */
const takesPart = (member: MemberView, leadership: Leadership): boolean =>
  isInSync(member) || (leadership.kind !== 'led' && member.live && member.report?.eligible === true);

/** Its sidecar does not run and will not in a moment: the kubelet restarts what has only just ended. */
const isDown = ({ finished, unscheduled, sidecar }: ObservedPod): boolean =>
  finished !== null || unscheduled !== null || sidecar === null || sidecar.state.kind === 'waiting';

/** Order of replacement. */
function rank(member: MemberView, leadership: Leadership): number {
  if (member.pod === null || isDown(member.pod)) return 0;
  if (!takesPart(member, leadership)) return 1;
  if (member.kind === 'dr') return 2;
  if (leadership.kind === 'led' && leadership.pod === member.name) return 5;
  return isReady(member) ? 4 : 3;
}
