// What the demo is waiting for, live: on a terminal a block that renews itself, otherwise a line for each thing that has changed.
// Reads through kubectl; the words about a ControlCluster are those of its status, whoever reads it with `kubectl describe` sees the same.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { controlClusterStatusSchema, type ControlClusterStatus } from '../../common/status.ts';
import { ClusterError } from '../cluster/command.ts';
import { attemptKubectl, type Target } from './target.ts';

const pollMs = 500;
const defaultColumns = 120;

const named = { metadata: z.object({ name: z.string() }) };
const workloadSchema = z.object({
  kind: z.enum(['Deployment', 'StatefulSet']),
  ...named,
  spec: z.object({ replicas: z.int() }),
  status: z.object({ readyReplicas: z.int().default(0) }),
});
/** Why something does not go on, in the words of whoever keeps it waiting. */
const reasonSchema = z.object({ reason: z.string().optional(), message: z.string().optional() });
const podSchema = z.object({
  kind: z.literal('Pod'),
  ...named,
  status: z.object({
    conditions: z.array(reasonSchema.extend({ type: z.string(), status: z.string() })).default([]),
    containerStatuses: z.array(z.object({ state: z.object({ waiting: reasonSchema.optional() }) })).default([]),
  }),
});
const releaseSchema = z.object({ items: z.array(z.discriminatedUnion('kind', [workloadSchema, podSchema])) });
const resourceSchema = z.object({ status: controlClusterStatusSchema.prefault({}) });

export interface Progress {
  readonly lines: readonly string[];
  readonly done: boolean;
}

/** The operator and NATS, and why their pods wait. Done when each has a replica that is ready. */
export async function observeRelease(target: Target, namespace: string): Promise<Progress> {
  const answer = await attemptKubectl(target, ['get', 'deployments,statefulsets,pods', '--namespace', namespace, '--output', 'json']);
  if (answer.code !== 0) return { lines: [firstLine(answer.stderr)], done: false };
  const { items } = releaseSchema.parse(JSON.parse(answer.stdout));
  const workloads = items.filter((item) => item.kind !== 'Pod');
  return {
    lines: items.flatMap((item) =>
      item.kind === 'Pod'
        ? waitingReasons(item)
        : [`${item.metadata.name}: ${String(item.status.readyReplicas)} of ${String(item.spec.replicas)} ready`],
    ),
    done: workloads.length > 0 && workloads.every(({ status }) => status.readyReplicas > 0),
  };
}

function waitingReasons({ metadata, status }: z.infer<typeof podSchema>): string[] {
  const unscheduled = status.conditions.filter((condition) => condition.type === 'PodScheduled' && condition.status === 'False');
  const waiting = status.containerStatuses.flatMap(({ state }) => state.waiting ?? []);
  return [...unscheduled, ...waiting].map(({ reason, message }) =>
    [`  ${metadata.name}`, reason, message].filter((text) => text !== undefined).join(': '),
  );
}

export async function readStatus(target: Target, name: string): Promise<ControlClusterStatus | null> {
  const answer = await attemptKubectl(target, ['get', 'controlcluster', name, '--output', 'json']);
  return answer.code === 0 ? resourceSchema.parse(JSON.parse(answer.stdout)).status : null;
}

/** The ControlCluster and its pods. Done when it runs; without a node for the disaster-recovery replica, when all members are ready. */
export async function observeCluster(target: Target, name: string, recoveryNode: boolean): Promise<Progress> {
  const status = await readStatus(target, name);
  if (status === null) return { lines: [`${name}: not there yet`], done: false };
  // Before the start it is the gate that says what is waited for.
  const telling = status.phase === 'Gathering' ? 'GateOpen' : status.phase === 'Degraded' ? 'Degraded' : 'Available';
  const why = status.phase === 'Running' ? undefined : status.conditions?.find(({ type }) => type === telling)?.message;
  const members = status.members ?? [];
  const membersReady =
    members.length > 0 && members.every(({ role, ready, name: pod }) => ready || role === 'dr' || pod.startsWith(`${name}-dr-`));
  return {
    lines: [
      `${name}: ${status.phase ?? 'Pending'}${why === undefined ? '' : `: ${why}`}`,
      ...members.map((member) => {
        const reason = member.ready ? [] : [member.reason, member.message].filter((text) => text !== undefined);
        return `  ${member.name}: ${[member.phase, ...reason].join(': ')}`;
      }),
    ],
    done: status.phase === 'Running' || (!recoveryNode && membersReady),
  };
}

/** Shows until it is done. Throws ClusterError with what it saw last when that takes longer than `timeoutMs`. */
export async function watchUntilDone(observe: () => Promise<Progress>, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  let shown: readonly string[] = [];
  for (;;) {
    const { lines, done } = await observe();
    show(lines, shown);
    shown = lines;
    if (done) return;
    if (performance.now() > deadlineMs)
      throw new ClusterError(`Not ready after ${String(timeoutMs / 60_000)} minutes:\n${lines.join('\n')}`);
    await delay(pollMs);
  }
}

function show(lines: readonly string[], before: readonly string[]): void {
  if (!process.stdout.isTTY) {
    for (const line of lines.filter((each) => !before.includes(each))) console.log(line);
    return;
  }
  const width = (process.stdout.columns || defaultColumns) - 1;
  if (before.length > 0) process.stdout.write(`\x1b[${String(before.length)}A`);
  process.stdout.write(`\x1b[J${lines.map((line) => `${line.replaceAll('\n', ' ').slice(0, width)}\n`).join('')}`);
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
