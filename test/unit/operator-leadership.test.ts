// Who leads, as far as the Lease tells, and when its holder is known to have ended.
import { describe, expect, test } from '@jest/globals';
import { judge } from '../../operator/core/judgement.ts';
import { healthy, nowMs, observed, running, sidecar, type Scene } from '../lib/observed-cluster.ts';

const leadership = (scene: Scene) => judge(observed(scene)).leadership;
const ended = (finishedAtMs: number) => ({ exitCode: 137, reason: 'Error', message: '', finishedAtMs });
const acquiredAtMs = nowMs - 30_000;
const held = (container: ReturnType<typeof sidecar>): Scene => ({
  leader: 'trading-0',
  leaderLease: { acquiredAtMs },
  members: { 'trading-0': { phase: 'Leading', pod: { sidecar: container } } },
});

describe('leadership', () => {
  test('is open when the holder reports that it leads', () => {
    expect(judge(healthy()).leadership).toEqual({ kind: 'led', pod: 'trading-0', open: true });
    expect(leadership({ leader: 'trading-0', members: { 'trading-0': { phase: 'Following' } } })).toMatchObject({
      kind: 'led',
      open: false,
    });
  });

  test('is free without a holder or a Lease', () => {
    expect(leadership({}).kind).toBe('free');
    expect(leadership({ leaderLease: null }).kind).toBe('free');
  });

  test('has expired when nobody renewed it for the lease duration, by our own clock', () => {
    const age = (ageMs: number) =>
      leadership({ leader: 'trading-0', leaderLease: { ageMs }, spec: { election: { leaseDuration: '6s' } } }).kind;
    expect(age(6_000)).toBe('led');
    expect(age(6_001)).toBe('expired');
  });

  test.each<[string, Scene]>([
    ['its pod does not exist', { leader: 'trading-0', members: { 'trading-0': { pod: null } } }],
    ['its pod was replaced', { leader: 'trading-0', members: { 'trading-0': { pod: { uid: 'new' } } } }],
    ['its pod was evicted', { leader: 'trading-0', members: { 'trading-0': { pod: { finished: 'Evicted' } } } }],
    ['its sidecar has ended', held(sidecar({ kind: 'terminated', ...ended(nowMs) }))],
    ['its sidecar waits to be restarted', held(sidecar({ kind: 'waiting', reason: 'CrashLoopBackOff', message: '' }, ended(nowMs)))],
    ['a later process reports from its pod', { leader: 'trading-0', leaderLease: { holder: 'trading-0_trading-0-uid_before' } }],
  ])('is gone when %s', (_, scene) => {
    expect(leadership(scene).kind).toBe('gone');
  });

  test.each<[string, Scene]>([
    ['its pod is only being deleted', { leader: 'trading-0', members: { 'trading-0': { pod: { deleting: true } } } }],
    ['its sidecar runs', held(sidecar(running(acquiredAtMs - 5_000)))],
    ['the end that is told is that of a process before it', held(sidecar({ kind: 'terminated', ...ended(acquiredAtMs - 2_000) }))],
    ['the restart that is told is its own start', held(sidecar(running(acquiredAtMs - 1_000), ended(acquiredAtMs - 2_000)))],
    ['the clock of its node was put back since its start', held(sidecar(running(acquiredAtMs + 3_600_000)))],
    [
      'the clock of its node was put back since its restart',
      held(sidecar(running(acquiredAtMs + 3_600_000), ended(acquiredAtMs + 3_600_000))),
    ],
    [
      'another session is told of, but not renewed',
      { leader: 'trading-0', leaderLease: { holder: 'trading-0_trading-0-uid_next' }, members: { 'trading-0': { ageMs: 9_000 } } },
    ],
    [
      'another session was not seen to be renewed',
      { leader: 'trading-0', leaderLease: { holder: 'trading-0_trading-0-uid_next' }, members: { 'trading-0': { proven: false } } },
    ],
    ['nothing is known of its sidecar', { leader: 'trading-0', members: { 'trading-0': { pod: { sidecar: null } } } }],
  ])('stays when %s', (_, scene) => {
    expect(leadership(scene).kind).toBe('led');
  });
});
