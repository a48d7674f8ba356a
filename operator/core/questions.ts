// Pods that are not there, or not yet, and say nothing of it themselves: whom Kubernetes may have told why, and when to look.
// Nothing is asked about a cluster whose members are all there, nor about one that is only just starting.
import type { MemberView, Observed } from './observed.ts';
import { isSilent, statefulSetOf } from './why.ts';

/** Warning Events about this object may say why the pod is not there. */
export interface Question {
  readonly pod: string;
  readonly kind: 'StatefulSet' | 'Pod';
  readonly name: string;
}

const firstAskMs = 5_000;
const maxIntervalMs = 5 * 60_000;

export const questionsAbout = (members: readonly MemberView[]): Question[] =>
  members
    .filter(isSilent)
    .map((member) =>
      member.pod === null
        ? { pod: member.name, kind: 'StatefulSet', name: statefulSetOf(member) }
        : { pod: member.name, kind: 'Pod', name: member.name },
    );

/**
 * Milliseconds until it is time to ask (again): 5 s after the trouble began, then whenever it lasts twice as long, every 5 min in the end.
 * By the wall clock, which costs patience only.
 */
export function nextAskMs({ cluster, nowMs, askedAgoMs }: Observed): number {
  const degraded = cluster.status?.conditions?.find(({ type }) => type === 'Degraded');
  const lastedMs = degraded?.status === 'True' ? nowMs - Date.parse(degraded.lastTransitionTime) : 0;
  const intervalMs = Math.min(maxIntervalMs, Math.max(firstAskMs, lastedMs / 2));
  return Math.max(firstAskMs - lastedMs, intervalMs - askedAgoMs);
}
