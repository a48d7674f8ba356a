// The roll-out of a new pod template: order, one at a time, and what it waits for.
import { describe, expect, test } from '@jest/globals';
import { judge } from '../../operator/core/judgement.ts';
import { healthy, observed, type ActingMember, type Scene } from '../lib/observed-cluster.ts';

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

  test('corrects a template with which no pod ever started', () => {
    const broken: ActingMember = { report: null, pod: { ready: false } };
    const all = { 'trading-0': broken, 'trading-1': broken, 'trading-2': broken, 'trading-dr-0': broken };
    expect(rollout([], all).kind).toBe('replace');
    expect(rollout(['trading-0'], all)).toMatchObject({ kind: 'replace', pod: 'trading-1' });
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
