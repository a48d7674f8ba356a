// A pod that is to go stays until no leader's log names it.
import { describe, expect, test } from '@jest/globals';
import { keptMembers } from '../../operator/core/kept-members.ts';
import { observed, type Scene } from '../lib/observed-cluster.ts';

const led = (voters: readonly string[], phase: 'Leading' | 'Following' = 'Leading'): Scene => ({
  members: { 'trading-0': { phase, report: { configurations: [voters.map((pod) => ({ pod, incarnation: 'disk' }))] } } },
});
const kept = (scene: Scene, members: number, existing: number): number => {
  const { cluster, memberLeases } = observed(scene);
  return keptMembers({ ...cluster, spec: { ...cluster.spec, members } }, memberLeases, existing);
};

describe('members that have pods', () => {
  test('are those of the specification, as soon as nobody else counts', () => {
    expect(kept(led(['trading-0', 'trading-1', 'trading-2']), 3, 5)).toBe(3);
    expect(kept(led(['trading-0', 'trading-1', 'trading-2']), 5, 3)).toBe(5);
  });

  test('are those too that are to go and still count, up to the highest', () => {
    expect(kept(led(['trading-0', 'trading-1', 'trading-4']), 3, 5)).toBe(5);
  });

  test('all stay while nobody is seen to lead', () => {
    expect(kept(led(['trading-0'], 'Following'), 1, 3)).toBe(3);
  });
});
