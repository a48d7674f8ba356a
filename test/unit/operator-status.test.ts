// The status: phase, conditions with reasons in the pods' own words, what outlives an observation, and the Events of its changes.
import { describe, expect, test } from '@jest/globals';
import { controlClusterStatusSchema, type ClusterPhase, type ConditionType } from '../../common/status.ts';
import { eventsOf } from '../../operator/core/events.ts';
import { judge } from '../../operator/core/judgement.ts';
import type { Observed } from '../../operator/core/observed.ts';
import { sameStatus, statusOf } from '../../operator/core/status.ts';
import { at, clusterId, healthy, nowMs, observed, round, running, sidecar, type Scene } from '../lib/observed-cluster.ts';

const of = (one: Observed) => statusOf(one, judge(one));
const condition = (one: Observed, type: ConditionType) => of(one).conditions?.find((found) => found.type === type);
const eventsAfter = (before: Observed, after: Observed) => {
  const next = { ...after, cluster: { ...after.cluster, status: of(before) } };
  return eventsOf(next, judge(next), of(next));
};

describe('the status', () => {
  test('is of the schema of the resource', () => {
    for (const one of [
      observed(),
      healthy(),
      healthy({ spec: { disasterRecovery: { replicas: 2 } }, members: { 'trading-1': { pod: null } } }),
    ])
      expect(controlClusterStatusSchema.parse(of(one))).toEqual(of(one));
  });

  test('tells a healthy cluster', () => {
    const one = healthy({
      spec: { disasterRecovery: { replicas: 1 } },
      members: { 'trading-0': { report: { acknowledged: at(1, 10) } } },
      status: { clusterId },
    });
    expect(of(one)).toMatchObject({
      phase: 'Running',
      leader: 'trading-0',
      epoch: 1,
      uid: 10,
      ready: '3/3',
      disasterRecoveryReady: '1/1',
      replicas: 3,
      observedGeneration: 1,
    });
    expect(of(one).members?.map(({ name, role, phase, ready }) => [name, role, phase, ready])).toEqual([
      ['trading-0', 'leader', 'Leading', true],
      ['trading-1', 'follower', 'Following', true],
      ['trading-2', 'follower', 'Following', true],
      ['trading-dr-0', 'dr', 'Following', true],
    ]);
    expect(of(one).conditions?.map(({ type, status }) => [type, status])).toEqual([
      ['Available', 'True'],
      ['Progressing', 'False'],
      ['Degraded', 'False'],
      ['GateOpen', 'True'],
      ['MemberBlocked', 'False'],
      ['DisasterRecoveryReady', 'True'],
    ]);
  });

  const nobody = { pod: null, report: null };
  test.each<[ClusterPhase, string, Observed]>([
    ['Pending', 'no pod exists', observed({ members: { 'trading-0': nobody, 'trading-1': nobody, 'trading-2': nobody } })],
    ['Gathering', 'a member is missing', observed({ members: { 'trading-1': nobody } })],
    ['Electing', 'a round opens', observed()],
    ['Electing', 'the leader has not opened', healthy({ members: { 'trading-0': { phase: 'Following' } } })],
    ['Electing', 'the leader is gone and others may stand', healthy({ members: { 'trading-0': { pod: null } } })],
    ['Running', 'all are in sync', healthy()],
    ['Degraded', 'a follower is missing', healthy({ members: { 'trading-2': nobody } })],
    [
      'Degraded',
      'a disaster-recovery replica is missing',
      healthy({ spec: { disasterRecovery: {} }, members: { 'trading-dr-0': nobody } }),
    ],
    ['Blocked', 'a round is refused', observed({ status: { clusterId, highWaterMark: at(3, 99), uid: 99 } })],
  ])('is %s when %s', (phase, _, one) => {
    expect(of(one).phase).toBe(phase);
  });

  test('keeps identity and the number of the last round, and never lowers the high-water mark (I6)', () => {
    const status = { clusterId, highWaterMark: at(2, 50), uid: 50, startup: { round: 3, expected: 3, present: 3 } };
    const lower = healthy({ status, members: { 'trading-0': { report: { acknowledged: at(2, 40) } } } });
    expect(of(lower)).toMatchObject({ clusterId, uid: 50, highWaterMark: at(2, 50), startup: { round: 3 } });
    const higher = healthy({ status, members: { 'trading-0': { report: { acknowledged: at(3, 45) } } } });
    expect(of(higher)).toMatchObject({ uid: 45, highWaterMark: at(3, 45) });
  });

  test('records the spread of the starts when all of the round have started, and keeps it', () => {
    const counted = [0, 1, 2].map((ordinal) => ({ pod: `trading-${String(ordinal)}`, session: `trading-${String(ordinal)}-session` }));
    const started = (ms: number, restarts = 0) => ({
      pod: { users: [{ name: 'control', restarts, state: running(nowMs + ms), last: null }] },
    });
    const scene = (...members: ReturnType<typeof started>[]): Scene => ({
      leaderLease: { round: round({ counted }) },
      members: Object.fromEntries(members.map((member, ordinal) => [`trading-${String(ordinal)}`, member])),
    });
    expect(of(healthy(scene(started(0), started(2_000), started(1_000)))).startup).toMatchObject({ round: 4, spreadMs: 2_000 });
    expect(of(healthy(scene(started(0), started(2_000), { pod: { users: [] } }))).startup?.spreadMs).toBeUndefined();
    const status = { startup: { round: 4, expected: 3, present: 3, spreadMs: 2_000 } };
    expect(of(healthy({ ...scene(started(0), started(90_000, 1), started(0)), status })).startup?.spreadMs).toBe(2_000);
  });

  test('carries the time of a transition over until the condition changes', () => {
    const before = of(healthy());
    const later = { ...healthy({ status: before, members: { 'trading-2': { pod: null } } }), nowMs: nowMs + 60_000 };
    const times = Object.fromEntries(of(later).conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]) ?? []);
    expect(times).toMatchObject({ Available: new Date(nowMs).toISOString(), Degraded: new Date(nowMs + 60_000).toISOString() });
  });

  test('is the same whatever the order of its keys', () => {
    expect(sameStatus({ phase: 'Running', uid: 1 }, { uid: 1, phase: 'Running' })).toBe(true);
    expect(sameStatus({ phase: 'Running', uid: 1 }, { uid: 2, phase: 'Running' })).toBe(false);
  });

  test('is another with a part more, a part less, or one that differs deep inside', () => {
    const status = of(healthy());
    expect(sameStatus(status, structuredClone(status))).toBe(true);
    const { leader: _leader, ...without } = status;
    expect([sameStatus(status, without), sameStatus(without, status)]).toEqual([false, false]);
    const { members = [] } = status;
    const fewer = { ...status, members: members.slice(1) };
    expect([sameStatus(status, fewer), sameStatus(fewer, status)]).toEqual([false, false]);
    expect(sameStatus(status, { ...status, members: members.map((member) => ({ ...member, lag: 7 })) })).toBe(false);
  });
});

describe('what a member is waited for, in its own words', () => {
  const waits = (reason: string, message: string, last: Parameters<typeof sidecar>[1] = null) => ({
    report: null,
    pod: { ready: false, sidecar: sidecar({ kind: 'waiting', reason, message }, last) },
  });
  const exited = { exitCode: 1, reason: 'Error', message: 'journal_corrupt: frame 7', finishedAtMs: nowMs };
  test.each<[string, Scene['members'], string]>([
    ['no pod', { 'trading-1': { pod: null } }, 'trading-1 (NoPod: '],
    ['being deleted', { 'trading-1': { pod: { deleting: true } } }, 'trading-1 (Terminating: '],
    [
      'no node',
      {
        'trading-1': {
          report: null,
          pod: { sidecar: null, unscheduled: { reason: 'Unschedulable', message: '0/4 nodes are available: 4 Insufficient cpu.' } },
        },
      },
      'trading-1 (Unschedulable: 0/4 nodes are available: 4 Insufficient cpu.)',
    ],
    [
      'image pull',
      { 'trading-1': waits('ImagePullBackOff', 'Back-off pulling image "x"') },
      'trading-1 (ImagePullBackOff: Container controlcluster waits: Back-off pulling image "x"',
    ],
    [
      'crash loop',
      { 'trading-1': waits('CrashLoopBackOff', 'back-off 10s', exited) },
      'trading-1 (CrashLoopBackOff: Container controlcluster waits: back-off 10s Before that it ended with exit code 1 (Error): journal_corrupt: frame 7',
    ],
    ['evicted', { 'trading-1': { report: null, pod: { finished: 'Evicted' } } }, 'trading-1 (Evicted: '],
    ['creating', { 'trading-1': waits('ContainerCreating', '') }, 'trading-1 (ContainerCreating: '],
    [
      'only made',
      { 'trading-1': { report: null, pod: { ready: false, sidecar: null, users: [] } } },
      'trading-1 (PodPending: Pod trading-1 has no container yet.)',
    ],
    [
      'only started',
      { 'trading-1': { report: null, pod: { ready: false, sidecar: sidecar(running(nowMs - 1_000)) } } },
      'trading-1 (NotReported: The operator has seen no report of this pod yet.)',
    ],
    [
      'only started in place of a pod that reported long ago',
      { 'trading-1': { report: { podUid: 'before' }, ageMs: 60_000, pod: { ready: false, sidecar: sidecar(running(nowMs - 1_000)) } } },
      'trading-1 (NotReported: The operator has seen no report of this pod yet.)',
    ],
    [
      'silent',
      { 'trading-1': { ageMs: 8_001 } },
      'trading-1 (NoReport: The operator has seen no new report of this pod for more than 8 s.)',
    ],
    [
      'the report',
      { 'trading-1': { phase: 'Starting', report: { reason: 'StreamUnavailable', message: 'NATS does not answer.' } } },
      'trading-1 (StreamUnavailable: NATS does not answer.)',
    ],
  ])('%s', (_, members, words) => {
    const gate = condition(observed({ members: members ?? {} }), 'GateOpen');
    expect(gate).toMatchObject({ status: 'False', reason: 'Gathering' });
    expect(gate?.message).toContain('Waits for 1 of 3 members');
    expect(gate?.message).toContain(words);
  });

  test("a crash of the user's container degrades a cluster whose members are all in sync", () => {
    const user = {
      name: 'control',
      restarts: 3,
      state: { kind: 'waiting' as const, reason: 'CrashLoopBackOff', message: 'back-off' },
      last: exited,
    };
    const one = healthy({ members: { 'trading-1': { pod: { users: [user] } } } });
    expect(of(one)).toMatchObject({ phase: 'Degraded', ready: '3/3' });
    expect(condition(one, 'Degraded')?.message).toContain('trading-1 (CrashLoopBackOff: Container control waits');
  });
});

describe('conditions', () => {
  test('name a blocked member and what it says', () => {
    const one = healthy({
      members: { 'trading-2': { phase: 'Blocked', report: { reason: 'AheadOfLeader', message: '3 changes more.' } } },
    });
    expect(condition(one, 'MemberBlocked')).toMatchObject({ status: 'True', message: 'trading-2 (AheadOfLeader: 3 changes more.)' });
  });

  test('say why the objects are not as wanted', () => {
    const invalid = healthy({ more: { desired: { kind: 'invalid', reason: 'InvalidTemplate', message: 'a container has no name' } } });
    expect(condition(invalid, 'Progressing')).toMatchObject({
      status: 'False',
      reason: 'InvalidTemplate',
      message: 'a container has no name',
    });
  });

  test('say that the operator is paused', () => {
    expect(condition(healthy({ metadata: { annotations: { 'controlcluster.io/paused': 'true' } } }), 'Progressing')?.reason).toBe('Paused');
  });
});

describe('Events', () => {
  test('tell a new leader, a loss and a recovery once each', () => {
    const lost = healthy({ members: { 'trading-0': { pod: null } } });
    expect(eventsAfter(healthy(), lost).map(({ type, reason }) => [type, reason])).toEqual([
      ['Warning', 'LeaderGone'],
      ['Warning', 'NotReady'],
    ]);
    expect(eventsAfter(lost, lost)).toEqual([]);
    const taken = healthy({
      leader: 'trading-1',
      members: { 'trading-0': { pod: null }, 'trading-1': { phase: 'Leading', position: at(2, 10) } },
    });
    expect(eventsAfter(lost, taken).map(({ type, reason, message }) => [type, reason, message])).toEqual([
      ['Normal', 'LeaderElected', 'trading-1 leads epoch 2.'],
      ['Normal', 'LeaderIsOpen', 'trading-1 leads and takes changes.'],
    ]);
  });

  test('do not complain that a new cluster is not there yet, but that it cannot come', () => {
    const fresh = observed({ members: { 'trading-1': { pod: null } } });
    expect(eventsOf(fresh, judge(fresh), of(fresh))).toEqual([]);
    const bad = observed({
      more: {
        desired: { kind: 'invalid', reason: 'InvalidTemplate', message: 'no name' },
        warnings: [{ reason: 'EvenMembers', message: 'odd' }],
      },
    });
    expect(eventsOf(bad, judge(bad), of(bad)).map(({ reason }) => reason)).toEqual(['EvenMembers', 'InvalidTemplate']);
  });

  test('tell the cluster and the pod of a member that is blocked', () => {
    const blocked = healthy({ members: { 'trading-2': { phase: 'Blocked', report: { reason: 'AheadOfLeader', message: '3 more.' } } } });
    expect(eventsAfter(healthy(), blocked)).toContainEqual({
      type: 'Warning',
      reason: 'AheadOfLeader',
      message: 'trading-2: 3 more.',
      pod: { name: 'trading-2', uid: 'trading-2-uid' },
    });
  });
});
