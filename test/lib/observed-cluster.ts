// Observations for the tests of the operator's core: a healthy cluster `trading` of three members, with what a test changes over it.
import type { Position } from '../../common/position.ts';
import { leaseIdentity, type MemberReport, type StartRound, type Switchover, type Waiting } from '../../common/report.ts';
import type { ControlClusterStatus } from '../../common/status.ts';
import type { KubeObject, Observed, ObservedContainer, ObservedLease, ObservedPod } from '../../operator/core/observed.ts';
import { controlCluster } from './control-cluster.ts';

export const nowMs = Date.parse('2030-01-01T00:00:00Z');
export const clusterId = 'c1';

export const at = (number: number, uid: number, generation = 0): Position => ({
  epoch: { generation, number, nonce: 'n' },
  uid,
  index: uid,
  hash: uid.toString(16).padStart(64, '0'),
});

export interface ActingMember {
  readonly phase?: MemberReport['phase'];
  readonly position?: Position;
  readonly report?: Partial<MemberReport> | null;
  readonly pod?: Partial<ObservedPod> | null;
  readonly waiting?: Waiting;
  /** What it was told while it led. */
  readonly switchover?: Switchover;
  readonly ageMs?: number;
  readonly proven?: boolean;
}

export const sidecar = (state: ObservedContainer['state'], last: ObservedContainer['last'] = null): ObservedContainer => ({
  name: 'controlcluster',
  restarts: last === null ? 0 : 1,
  state,
  last,
});
export const running = (startedAtMs = nowMs - 60_000): ObservedContainer['state'] => ({ kind: 'running', startedAtMs });

function pod(name: string, changes: Partial<ObservedPod> = {}): ObservedPod {
  return {
    name,
    uid: `${name}-uid`,
    revision: 'r1',
    deleting: false,
    labelledLeader: false,
    orders: { forceStart: false, discardLocal: false },
    ready: true,
    finished: null,
    unscheduled: null,
    sidecar: sidecar(running()),
    users: [{ name: 'control', restarts: 0, state: running(), last: null }],
    ...changes,
  };
}

function report(name: string, member: ActingMember): MemberReport | null {
  if (member.report === null) return null;
  const phase = member.phase ?? 'Waiting';
  return {
    version: 1,
    pod: name,
    podUid: member.pod?.uid ?? `${name}-uid`,
    session: `${name}-session`,
    role: name.includes('-dr-') ? 'dr' : 'member',
    incarnation: `${name}-disk`,
    voter: !name.includes('-dr-'),
    configurations: (member.position ?? at(1, 10)).index === 0 ? [] : [founding],
    phase,
    clusterId,
    promise: (member.position ?? at(1, 10)).epoch,
    position: member.position ?? at(1, 10),
    acknowledged: null,
    eligible: phase === 'Leading' || phase === 'Following',
    leader: null,
    lag: 0,
    address: `${name}:5000`,
    sidecarVersion: '1',
    ...member.report,
  };
}

function lease(name: string, changes: Partial<ObservedLease> = {}): ObservedLease {
  return {
    name,
    resourceVersion: '7',
    holder: '',
    acquiredAtMs: null,
    ageMs: 500,
    proven: true,
    round: null,
    report: null,
    waiting: null,
    discard: null,
    switchover: null,
    ...changes,
  };
}

export const holderOf = (name: string): string => leaseIdentity(name, `${name}-uid`, `${name}-session`);

/** The disks with which the sample cluster was founded. */
export const founding = ['trading-0', 'trading-1', 'trading-2'].map((pod) => ({ pod, incarnation: `${pod}-disk` }));

export const round = (changes: Partial<StartRound> = {}): StartRound => ({
  version: 1,
  number: 4,
  clusterId,
  generation: 0,
  designated: 'trading-0',
  claim: 'elected',
  configuration: founding,
  counted: [],
  highWaterMark: null,
  openedAt: new Date(nowMs).toISOString(),
  ...changes,
});

export interface Scene {
  readonly spec?: object;
  readonly metadata?: object;
  readonly status?: ControlClusterStatus;
  readonly members?: Readonly<Record<string, ActingMember>>;
  readonly leader?: string;
  readonly leaderLease?: Partial<ObservedLease> | null;
  /** Members that have pods; those of the specification unless the scene says otherwise. */
  readonly kept?: number;
  readonly more?: Partial<Observed>;
}

/** Members `trading-0` to `trading-2` wait, each with the same log, and nobody leads, unless the scene says otherwise. */
export function observed({ spec = {}, metadata = {}, status, members = {}, leader, leaderLease = {}, ...scene }: Scene = {}): Observed {
  const cluster = { ...controlCluster(spec, { generation: 1, ...metadata }), status };
  const { kept = cluster.spec.members, more = {} } = scene;
  const names = Array.from({ length: kept }, (_, ordinal) => `trading-${String(ordinal)}`);
  const drNames = Array.from({ length: cluster.spec.disasterRecovery.replicas }, (_, ordinal) => `trading-dr-${String(ordinal)}`);
  const acting = [...names, ...drNames].map((name): [string, ActingMember] => [name, members[name] ?? {}]);
  return {
    cluster,
    nowMs,
    freshId: 'fresh',
    desired: { kind: 'objects', objects: [] },
    warnings: [],
    memberSelector: 'selector',
    keptMembers: kept,
    live: new Map(),
    appliedAgoMs: new Map(),
    refusals: new Map(),
    pods: acting.flatMap(([name, member]) => (member.pod === null ? [] : [pod(name, member.pod)])),
    statefulSets: [
      { name: 'trading', updateRevision: 'r1' },
      { name: 'trading-dr', updateRevision: 'r1' },
    ],
    leaderLease:
      leaderLease === null ? null : lease('trading-leader', { holder: leader === undefined ? '' : holderOf(leader), ...leaderLease }),
    memberLeases: acting.map(([name, member]) =>
      lease(name, {
        report: report(name, member),
        waiting: member.waiting ?? null,
        switchover: member.switchover ?? null,
        ageMs: member.ageMs ?? 500,
        proven: member.proven ?? true,
      }),
    ),
    statusAgeMs: Number.POSITIVE_INFINITY,
    askedAgoMs: Number.POSITIVE_INFINITY,
    answers: new Map(),
    ...more,
  };
}

/** Everything as it should be, unless the scene says otherwise: `trading-0` leads, the others follow. */
export function healthy(scene: Scene = {}): Observed {
  const members = Object.fromEntries(
    ['trading-0', 'trading-1', 'trading-2', 'trading-dr-0', 'trading-dr-1'].map((name): [string, ActingMember] => [
      name,
      { phase: name === 'trading-0' ? 'Leading' : 'Following', ...scene.members?.[name] },
    ]),
  );
  return observed({ leader: 'trading-0', ...scene, members });
}

export const kubeObject = (kind: string, name: string, more: object = {}, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'desk', ...metadata },
  ...more,
});
