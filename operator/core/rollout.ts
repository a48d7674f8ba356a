// Bringing a new pod template to the pods, one at a time: disaster-recovery replicas, then followers, then the leader (K13).
// A pod in sync is replaced only while all others are; one that is not ready serves nobody and may go first, so that a bad template can be corrected.
// Deleting the leader's pod is enough: its preStop hook hands the leadership over.
import type { Leadership } from './leadership.ts';
import type { MemberView, Observed } from './observed.ts';
import { whyNotReady } from './why.ts';
import { drStatefulSetName } from '../../common/names.ts';

export type Rollout =
  | { readonly kind: 'settled' }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'replace'; readonly pod: string; readonly podUid: string; readonly message: string };

export function decideRollout(observed: Observed, members: readonly MemberView[], leadership: Leadership): Rollout {
  const outdated = members.filter((member) => isOutdated(observed, member));
  if (outdated.length === 0) return { kind: 'settled' };
  const left = `${String(outdated.length)} of ${String(members.length)} pods have an older template`;
  const leaving = members.find((member) => member.pod === null || member.pod.deleting);
  if (leaving !== undefined) return { kind: 'waiting', message: `${left}; waits for ${leaving.name} to come back.` };

  const [next] = outdated.toSorted((a, b) => rank(a, leadership) - rank(b, leadership));
  if (!next?.pod) return { kind: 'settled' };
  const hindrance = isReady(next) ? members.find((member) => member !== next && !isReady(member)) : undefined;
  if (hindrance !== undefined) {
    const reason = whyNotReady(hindrance)?.message ?? 'its pod is not ready';
    return { kind: 'waiting', message: `${left}; ${next.name} is next, when ${hindrance.name} is ready (${reason})` };
  }
  if (isReady(next) && leadership.kind !== 'led') return { kind: 'waiting', message: `${left}; waits for a leader.` };
  return { kind: 'replace', pod: next.name, podUid: next.pod.uid, message: `${left}; replaces ${next.name}.` };
}

function isOutdated({ cluster, statefulSets }: Observed, { kind, pod }: MemberView): boolean {
  const name = kind === 'member' ? cluster.metadata.name : drStatefulSetName(cluster.metadata.name);
  const revision = statefulSets.find((set) => set.name === name)?.updateRevision ?? null;
  return pod !== null && revision !== null && !pod.deleting && pod.revision !== revision;
}

const isReady = (member: MemberView): boolean => member.pod?.ready === true && whyNotReady(member) === null;

/** Order of replacement. */
function rank(member: MemberView, leadership: Leadership): number {
  if (!isReady(member)) return 0;
  if (member.kind === 'dr') return 1;
  return leadership.kind === 'led' && leadership.pod === member.name ? 3 : 2;
}
