// Who leads, as far as the leader Lease and what is known of its holder tell.
// The Lease is an oracle: a wrong answer here costs time, never a change (design of the protocol, "Leading").
import { parseDurationMs } from '../../common/duration.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { partsOfIdentity, type MemberView, type ObservedLease, type ObservedPod } from './observed.ts';

export type Leadership =
  /** `open`: it reports that it leads, so that it takes changes. */
  | { readonly kind: 'led'; readonly pod: string; readonly open: boolean }
  | { readonly kind: 'free' }
  /** The holder renews no more, but may still exist. */
  | { readonly kind: 'expired'; readonly pod: string }
  /** The process that holds the Lease has ended. */
  | { readonly kind: 'gone'; readonly pod: string; readonly evidence: string; readonly witness: Witness };

/** Whose word it is that the process has ended: the pod's status, or the report of a later process. */
export type Witness = 'pod' | 'report';

/** `kubelet` gives times in whole seconds, rounded down. */
const kubeletResolutionMs = 1_000;

/**
 * Why the process that holds the Lease cannot be alive any more; `null` when it may be. The pod's status alone does not tell a restart from the start:
 * that a later process runs is known by its report.
 * Times of the pod's status and of the Lease come from one node, so that they may be compared; they keep a stale pod status from clearing the Lease
 * of a process that was started since.
 */
export function evidenceOfEnd(lease: ObservedLease, pod: ObservedPod | null): string | null {
  const { pod: name, podUid } = partsOfIdentity(lease.holder);
  if (pod === null) return `pod ${name} does not exist`;
  if (pod.uid !== podUid) return `pod ${name} was replaced`;
  if (pod.finished !== null) return `pod ${name} has ended (${pod.finished})`;
  const { sidecar } = pod;
  if (sidecar === null) return null;
  const ended = sidecar.state.kind === 'terminated' ? sidecar.state : sidecar.state.kind === 'waiting' ? sidecar.last : null;
  if (ended !== null && (lease.acquiredAtMs === null || lease.acquiredAtMs < ended.finishedAtMs + kubeletResolutionMs))
    return `container ${sidecar.name} of pod ${name} has ended with exit code ${String(ended.exitCode)}`;
  return null;
}

export function judgeLeadership(
  cluster: ControlCluster,
  lease: ObservedLease | null,
  members: readonly MemberView[],
  pods: readonly ObservedPod[],
): Leadership {
  if (lease === null || lease.holder === '') return { kind: 'free' };
  const { pod: name, session } = partsOfIdentity(lease.holder);
  const evidence = evidenceOfEnd(lease, pods.find((pod) => pod.name === name) ?? null);
  if (evidence !== null) return { kind: 'gone', pod: name, evidence, witness: 'pod' };
  const holder = members.find((member) => member.name === name);
  if (holder?.proven === true && holder.report !== null && holder.report.session !== session)
    return { kind: 'gone', pod: name, evidence: `the process in pod ${name} was started anew`, witness: 'report' };
  if (lease.ageMs > parseDurationMs(cluster.spec.election.leaseDuration)) return { kind: 'expired', pod: name };
  return { kind: 'led', pod: name, open: holder?.live === true && holder.report?.phase === 'Leading' };
}
