// Why a pod is not there, or its member not ready: in the pod's own words, then in its member's.
// One word for machines, one sentence for people. Judges nothing else.
import { reportLifetimeMs, type MemberView, type ObservedContainer, type ObservedPod } from './observed.ts';

export interface Why {
  readonly reason: string;
  readonly message: string;
}

/** States that every container passes on its way. */
const passing = new Set(['ContainerCreating', 'PodInitializing', '']);
const maxMessageLength = 1024;

export const clip = (text: string, maxLength: number): string => (text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`);

const why = (reason: string, message: string): Why => ({ reason: clip(reason, 64), message: clip(message, maxMessageLength) });

/** It is not there, or only being made, and cannot say why that lasts. */
export const isSilent = ({ pod }: MemberView): boolean =>
  pod === null || (pod.sidecar?.state.kind === 'waiting' && passing.has(pod.sidecar.state.reason) && whyStopped(pod) === null);

/** The StatefulSet that makes the pod of a member. */
export const statefulSetOf = ({ name }: MemberView): string => name.replace(/-[0-9]+$/, '');

/** `null` when the member leads, or follows in sync. */
export function whyNotReady(member: MemberView): Why | null {
  const { name, pod, report, live } = member;
  if (pod === null) return why('NoPod', `Pod ${name} does not exist${saying(member, `statefulset ${statefulSetOf(member)}`)}`);
  if (pod.deleting) return why('Terminating', `Pod ${name} is being deleted.`);
  const stopped = whyStopped(pod) ?? (pod.sidecar === null ? null : whyContainer(pod.sidecar));
  if (stopped !== null) return stopped;
  if (report !== null && live) {
    if (report.phase === 'Leading' || report.phase === 'Following') return null;
    return why(report.reason ?? report.phase, report.message ?? `The member is ${report.phase}.`);
  }
  return whySilent(member, pod);
}

const saying = ({ answer }: MemberView, command: string): string =>
  answer === null ? `; if it stays so, kubectl describe ${command} says why.` : `: ${answer}`;

/** Says of a report only what the operator saw itself: a break of its watch is no silence of the member. */
function whySilent(member: MemberView, { name, sidecar }: ObservedPod): Why {
  if (sidecar === null) return why('PodPending', `Pod ${name} has no container yet.`);
  if (sidecar.state.kind === 'waiting')
    return why('ContainerCreating', `Container ${sidecar.name} is being created${saying(member, `pod ${name}`)}`);
  if (member.waiting !== null) return why(member.waiting.reason, member.waiting.message);
  if (member.report === null) return why('NotReported', 'The operator has seen no report of this pod yet.');
  return why('NoReport', `The operator has seen no new report of this pod for more than ${String(reportLifetimeMs / 1000)} s.`);
}

/** What keeps the containers of a pod from running, the user's too; `null` when nothing does. */
export function podProblem(pod: ObservedPod): Why | null {
  const problems = [
    whyStopped(pod),
    ...[pod.sidecar, ...pod.users].map((container) => (container === null ? null : whyContainer(container))),
  ];
  return problems.find((problem) => problem !== null) ?? null;
}

function whyStopped(pod: ObservedPod): Why | null {
  if (pod.finished !== null) return why(pod.finished, `Pod ${pod.name} has ended (${pod.finished}).`);
  return pod.unscheduled === null ? null : why(pod.unscheduled.reason, pod.unscheduled.message);
}

function whyContainer({ name, state, last }: ObservedContainer): Why | null {
  if (state.kind === 'terminated' && state.exitCode !== 0)
    return why(state.reason, `Container ${name} has ended with exit code ${String(state.exitCode)}${tail(state.message)}`);
  if (state.kind !== 'waiting' || passing.has(state.reason)) return null;
  const before = last === null ? '' : ` Before that it ended with exit code ${String(last.exitCode)} (${last.reason})${tail(last.message)}`;
  return why(state.reason, `Container ${name} waits${tail(state.message)}${before}`);
}

/** The last line of what a container or the kubelet says, at the end of a sentence. */
function tail(text: string): string {
  const line = text.trim();
  return line === '' ? '.' : `: ${line}`;
}
