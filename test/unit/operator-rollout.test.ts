// The roll-out of a new pod template: order, one at a time, and what it waits for.
import { describe, expect, test } from '@jest/globals';
import { judge } from '../../operator/core/judgement.ts';
import type { ObservedPod } from '../../operator/core/observed.ts';
import { healthy, nowMs, observed, sidecar, type ActingMember, type Scene } from '../lib/observed-cluster.ts';

const spec = { disasterRecovery: { replicas: 1 } };
/** The members whose pods have the new template; all others have the old one. */
function scene(updated: readonly string[], changes: Record<string, ActingMember> = {}): Scene {
  const names = ['trading-0', 'trading-1', 'trading-2', 'trading-dr-0'];
  const members = names.map((name): [string, ActingMember] => {
    const phase = name === 'trading-0' ? 'Leading' : 'Following';
    return [
      name,
      {
        phase,
        ...changes[name],
        pod: changes[name]?.pod === null ? null : { revision: updated.includes(name) ? 'r2' : 'r1', ...changes[name]?.pod },
      },
    ];
  });
  const statefulSets = [
    { name: 'trading', updateRevision: 'r2' },
    { name: 'trading-dr', updateRevision: 'r2' },
  ];
  return { spec, leader: 'trading-0', members: Object.fromEntries(members), more: { statefulSets } };
}
const rollout = (...parts: Parameters<typeof scene>) => judge(observed(scene(...parts))).rollout;

describe('a roll-out', () => {
  test('K13: replaces disaster-recovery replicas, then followers, then the leader', () => {
    const order: string[] = [];
    for (let step = rollout(order); step.kind === 'replace'; step = rollout(order)) order.push(step.pod);
    expect(order).toEqual(['trading-dr-0', 'trading-1', 'trading-2', 'trading-0']);
    expect(rollout(order).kind).toBe('settled');
  });

  test('waits until the new template of every StatefulSet is known: one alone would go first', () => {
    const { more, ...rest } = scene([]);
    const statefulSets = [
      { name: 'trading', updateRevision: 'r2' },
      { name: 'trading-dr', updateRevision: null },
    ];
    expect(judge(observed({ ...rest, more: { ...more, statefulSets } })).rollout).toMatchObject({
      kind: 'waiting',
      message: expect.stringContaining('StatefulSet trading-dr'),
    });
  });

  test.each<[string, Record<string, ActingMember>]>([
    ['is being deleted', { 'trading-dr-0': { pod: { deleting: true } } }],
    ['has not come back', { 'trading-dr-0': { pod: null } }],
    ['is not ready', { 'trading-dr-0': { pod: { ready: false } } }],
    ['catches up', { 'trading-dr-0': { phase: 'CatchingUp' } }],
    ['has not reported', { 'trading-dr-0': { report: null } }],
  ])('waits while the pod that was replaced %s', (_, changes) => {
    const found = rollout(['trading-dr-0'], changes);
    expect(found.kind).toBe('waiting');
    expect(found.kind === 'waiting' && found.message).toContain('trading-dr-0');
  });

  test('replaces a pod that is not ready first: it serves nobody, and the new template may mend it', () => {
    expect(rollout([], { 'trading-2': { phase: 'Waiting', pod: { ready: false } } })).toMatchObject({
      kind: 'replace',
      pod: 'trading-2',
      podUid: 'trading-2-uid',
    });
  });

  const stuck: ActingMember = { phase: 'CatchingUp', report: { eligible: true }, pod: { ready: false } };
  const terminated = { kind: 'terminated', exitCode: 137, reason: 'Error', message: '', finishedAtMs: nowMs } as const;
  const waits = (reason: string) => sidecar({ kind: 'waiting', reason, message: '' });
  test.each<[string, ActingMember]>([
    ['lags for a moment', stuck],
    ['fails a probe', { pod: { ready: false } }],
    ['is silent for a moment', { ageMs: 9_000 }],
    ['has just ended and is being restarted', { report: null, pod: { ready: false, sidecar: sidecar(terminated) } }],
    ['was restarted', { phase: 'Waiting', report: { eligible: false }, pod: { ready: false } }],
  ])('does not take the majority: while one that was replaced catches up, it waits with a follower that %s', (_, blip) => {
    expect(rollout(['trading-dr-0', 'trading-1'], { 'trading-1': stuck, 'trading-2': blip })).toMatchObject({
      kind: 'waiting',
      message: expect.stringContaining('trading-1'),
    });
  });

  test.each<[string, Partial<ObservedPod>]>([
    ['gets no image', { sidecar: waits('ImagePullBackOff') }],
    ['crashes again and again', { sidecar: waits('CrashLoopBackOff') }],
    ['gets no node', { sidecar: null, unscheduled: { reason: 'Unschedulable', message: '' } }],
    ['was evicted', { finished: 'Evicted' }],
  ])('lets a pod go ahead that %s: it costs nothing more', (_, pod) => {
    const changes = { 'trading-1': stuck, 'trading-2': { report: null, pod: { ready: false, ...pod } } };
    expect(rollout(['trading-dr-0', 'trading-1'], changes)).toMatchObject({ kind: 'replace', pod: 'trading-2' });
  });

  test('corrects a template with which no sidecar ever ran, all at once', () => {
    const broken: ActingMember = { report: null, pod: { ready: false, sidecar: waits('ErrImagePull') } };
    const all = { 'trading-0': broken, 'trading-1': broken, 'trading-2': broken, 'trading-dr-0': broken };
    expect(rollout([], all).kind).toBe('replace');
    expect(rollout(['trading-0'], all)).toMatchObject({ kind: 'replace', pod: 'trading-1' });
  });

  test('corrects a template with which the members could not start together', () => {
    const starting: ActingMember = { phase: 'Starting', report: { reason: 'StreamUnavailable' }, pod: { ready: false } };
    const waiting: ActingMember = { phase: 'Waiting', pod: { ready: false } };
    const leaderless = (updated: readonly string[], changes: Record<string, ActingMember>) => {
      const { leader: _, ...rest } = scene(updated, changes);
      return judge(observed(rest)).rollout;
    };
    const all = { 'trading-0': starting, 'trading-1': starting, 'trading-2': starting, 'trading-dr-0': starting };
    expect(leaderless(['trading-0'], { ...all, 'trading-0': waiting })).toMatchObject({ kind: 'replace', pod: 'trading-1' });
  });

  test('corrects a template with which the second of two members could not join', () => {
    const two = (leader: object) => {
      const members: Scene['members'] = {
        'trading-0': { phase: 'Leading', pod: { revision: 'r1' } },
        'trading-1': { phase: 'Starting', pod: { ready: false, revision: 'r2' } },
      };
      const statefulSets = [{ name: 'trading', updateRevision: 'r3' }];
      return judge(observed({ spec: { members: 2 }, members, more: { statefulSets }, ...leader })).rollout;
    };
    expect(two({ leader: 'trading-0' })).toMatchObject({ kind: 'replace', pod: 'trading-1' });
  });

  test("corrects a template whose user's containers never became ready, one pod at a time, the leader last", () => {
    const unready: ActingMember = { pod: { ready: false } };
    const order: string[] = [];
    const next = () =>
      rollout(
        order,
        Object.fromEntries(
          ['trading-0', 'trading-1', 'trading-2', 'trading-dr-0'].filter((name) => !order.includes(name)).map((name) => [name, unready]),
        ),
      );
    for (let step = next(); step.kind === 'replace'; step = next()) order.push(step.pod);
    expect(order).toEqual(['trading-dr-0', 'trading-1', 'trading-2', 'trading-0']);
    expect(rollout(['trading-dr-0'], { 'trading-dr-0': unready, 'trading-1': unready }).kind).toBe('waiting');
  });

  test('replaces nobody who may be elected while there is no leader', () => {
    const electing: ActingMember = { phase: 'Waiting', report: { eligible: true }, pod: { ready: false } };
    const { leader: _, ...rest } = scene(['trading-dr-0'], { 'trading-0': electing, 'trading-1': electing, 'trading-2': electing });
    expect(judge(observed(rest)).rollout.kind).toBe('waiting');
  });

  test('replaces nobody who is in sync while there is no leader', () => {
    const { leader: _, ...rest } = scene(['trading-dr-0', 'trading-1', 'trading-2']);
    const members = { ...rest.members, 'trading-0': { phase: 'Following' as const, pod: { revision: 'r1' } } };
    expect(judge(observed({ ...rest, members })).rollout.kind).toBe('waiting');
  });

  test('waits for the controller to have seen the new template', () => {
    expect(judge(healthy({ more: { statefulSets: [{ name: 'trading', updateRevision: null }] } })).rollout.kind).toBe('settled');
  });
});
