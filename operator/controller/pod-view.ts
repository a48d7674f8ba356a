// A pod's JSON as the core wants to see it. Absent parts of a status count as not known, never as an error.
import { annotations, labels, sidecarContainer, type PodRole } from '../../common/names.ts';
import type { ContainerState, KubeObject, ObservedContainer, ObservedPod, Termination } from '../core/observed.ts';

interface Terminated {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
  readonly finishedAt?: string | null;
}

interface State {
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly running?: { readonly startedAt?: string | null };
  readonly terminated?: Terminated;
}

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
  readonly state?: State;
  readonly lastState?: State;
}

interface PodStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string; readonly message?: string }[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}

export function podView(pod: KubeObject): ObservedPod {
  const status = (pod.status ?? {}) as PodStatus;
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].map(container);
  const condition = (type: string) => status.conditions?.find((one) => one.type === type);
  const scheduled = condition('PodScheduled');
  return {
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? '',
    revision: pod.metadata.labels?.['controller-revision-hash'] ?? '',
    deleting: pod.metadata.deletionTimestamp !== undefined,
    labelledLeader: pod.metadata.labels?.[labels.role] === ('leader' satisfies PodRole),
    orders: {
      forceStart: pod.metadata.annotations?.[annotations.forceStart] === 'true',
      discardLocal: pod.metadata.annotations?.[annotations.discardLocal] === 'true',
    },
    ready: condition('Ready')?.status === 'True',
    finished: status.phase === 'Failed' || status.phase === 'Succeeded' ? (status.reason ?? status.phase) : null,
    // A pod that has containers has a node, whatever is still said of the search for one.
    unscheduled:
      scheduled?.status === 'False' && containers.length === 0
        ? { reason: scheduled.reason ?? 'Unschedulable', message: scheduled.message ?? 'The scheduler has found no node.' }
        : null,
    sidecar: containers.find(({ name }) => name === sidecarContainer) ?? null,
    users: containers.filter(({ name }) => name !== sidecarContainer),
  };
}

const container = ({ name, restartCount, state, lastState }: ContainerStatus): ObservedContainer => ({
  name,
  restarts: restartCount,
  state: containerState(state ?? {}),
  last: lastState?.terminated === undefined ? null : termination(lastState.terminated),
});

function containerState({ running, terminated, waiting }: State): ContainerState {
  if (running !== undefined) return { kind: 'running', startedAtMs: time(running.startedAt) };
  if (terminated !== undefined) return { kind: 'terminated', ...termination(terminated) };
  return { kind: 'waiting', reason: waiting?.reason ?? '', message: waiting?.message ?? '' };
}

const termination = ({ exitCode, reason, message, finishedAt }: Terminated): Termination => ({
  exitCode,
  reason: reason ?? 'Error',
  message: message ?? '',
  finishedAtMs: time(finishedAt),
});

/** 0 when it is not known: before everything else. */
function time(text: string | null | undefined): number {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}
