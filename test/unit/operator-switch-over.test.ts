// A planned switch-over as a person asks for it by annotation on the ControlCluster, from the observation to the writes.
import { describe, expect, test } from '@jest/globals';
import { annotations } from '../../common/names.ts';
import { plan, type Action } from '../../operator/core/plan.ts';
import { switchoverLimitMs } from '../../operator/core/switch-over.ts';
import { healthy, nowMs, observed, type Scene } from '../lib/observed-cluster.ts';

const asked = (to = 'trading-1', more: object = {}) => ({ metadata: { annotations: { [annotations.switchoverTo]: to, ...more } } });
const told = (agoMs: number, to = 'trading-1') => ({
  switchover: { session: 'trading-0-session', to, toldAt: new Date(nowMs - agoMs).toISOString() },
});
/** The leader was told so long ago. */
const underWay = (agoMs: number, more: Scene = {}): Scene => ({ ...asked(), members: { 'trading-0': told(agoMs) }, ...more });

const kinds = ['tellToSwitchOver', 'consumeSwitchover', 'forgetSwitchover'] as const;
type SwitchoverAction = Extract<Action, { kind: (typeof kinds)[number] }>;
const isAbout = (action: Action): action is SwitchoverAction => kinds.some((kind) => kind === action.kind);
const writes = (scene: Scene): SwitchoverAction[] => plan(healthy(scene)).filter(isAbout);
const waits = (scene: Scene): number[] => plan(healthy(scene)).flatMap((action) => (action.kind === 'planAgain' ? [action.afterMs] : []));

const tellsWhom = (reason: string, message: RegExp) => [
  { kind: 'consumeSwitchover', event: { reason, message: expect.stringMatching(message) } },
];

describe('a switch-over', () => {
  test('is told to the leader once, by its session, and an Event says so', () => {
    expect(writes(asked())).toEqual([
      {
        kind: 'tellToSwitchOver',
        lease: expect.objectContaining({ name: 'trading-0' }),
        switchover: { session: 'trading-0-session', to: 'trading-1', toldAt: new Date(nowMs).toISOString() },
        event: {
          type: 'Normal',
          reason: 'SwitchoverStarted',
          message: 'trading-0 is to hand over to trading-1.',
          pod: { name: 'trading-1', uid: 'trading-1-uid' },
        },
      },
    ]);
    expect(writes(underWay(1000))).toEqual([]);
    expect(waits(underWay(1000))).toContain(switchoverLimitMs - 1000);
  });

  test('is told once also when another has come to lead meanwhile', () => {
    const members = { 'trading-0': { phase: 'Following', ...told(1000) }, 'trading-2': { phase: 'Leading' } } as const;
    expect(writes({ ...asked(), leader: 'trading-2', members })).toEqual([]);
  });

  test('is done when the pod leads, which an Event says', () => {
    const members = { 'trading-0': { phase: 'Following', ...told(4000) }, 'trading-1': { phase: 'Leading' } } as const;
    expect(writes({ ...asked(), leader: 'trading-1', members })).toMatchObject([
      {
        kind: 'consumeSwitchover',
        event: {
          type: 'Normal',
          reason: 'SwitchoverDone',
          message: 'trading-1 leads, in the place of trading-0.',
          pod: { name: 'trading-1' },
        },
      },
    ]);
  });

  test.each<[string, Scene, RegExp]>([
    ['the leader leads on', {}, /within 15 s: trading-0 leads; the logs of trading-0 and of the pod say why/],
    ['the pod is not in sync', { members: { 'trading-1': { phase: 'CatchingUp' } } }, /it is not in sync \(CatchingUp: /],
    ['the pod is silent', { members: { 'trading-1': { ageMs: 9000 } } }, /it is not in sync \(NoReport: /],
    ['nobody leads', { members: { 'trading-0': { phase: 'Following' } } }, /no member leads; /],
  ])('has failed after a while when %s: an Event says why', (_, { members = {} }, reason) => {
    const scene = { ...asked(), members: { ...members, 'trading-0': { ...members['trading-0'], ...told(switchoverLimitMs) } } };
    expect(writes(scene)).toMatchObject(tellsWhom('SwitchoverFailed', reason));
    expect(waits(scene)).toEqual([]);
  });

  test('is not waited for when the clock was set back', () => {
    expect(writes(underWay(-60_000))).toMatchObject(tellsWhom('SwitchoverFailed', /leads/));
  });

  test('that nobody asks for any more is forgotten, and nothing else is done', () => {
    expect(writes({ members: { 'trading-0': told(1000) } })).toMatchObject([{ kind: 'forgetSwitchover', lease: { name: 'trading-0' } }]);
    expect(writes({})).toEqual([]);
  });

  test('to another pod takes the place of the one that is under way', () => {
    expect(writes(underWay(1000, asked('trading-2'))).map(({ kind }) => kind)).toEqual(['forgetSwitchover', 'tellToSwitchOver']);
  });

  test('waits while the cluster is paused, without end and without work', () => {
    const paused = { [annotations.paused]: 'true' };
    expect(writes(asked('trading-1', paused))).toEqual([]);
    expect(waits(underWay(switchoverLimitMs, asked('trading-1', paused)))).toEqual([]);
  });
});

describe('is refused with the reason, and taken off', () => {
  const dr = { spec: { disasterRecovery: { replicas: 1 } } };
  test.each<[string, Scene, RegExp]>([
    ['a pod that the cluster does not have', asked('trading-7'), /to trading-7: the cluster has no such pod/],
    ['a disaster-recovery replica (K11)', { ...asked('trading-dr-0'), ...dr }, /never leads/],
    [
      'a member that is to go',
      { ...asked('trading-3'), kept: 4, members: { 'trading-3': { phase: 'Following' } } },
      /it is to go, since spec.members is 3/,
    ],
    ['the leader', asked('trading-0'), /it leads already/],
    [
      'a member that is blocked',
      { ...asked(), members: { 'trading-1': { phase: 'Blocked', report: { reason: 'AheadOfLeader' } } } },
      /not in sync \(AheadOfLeader: /,
    ],
    ['a member that catches up', { ...asked(), members: { 'trading-1': { phase: 'CatchingUp' } } }, /not in sync/],
    ['a silent member', { ...asked(), members: { 'trading-1': { ageMs: 9000 } } }, /not in sync \(NoReport: /],
    ['a pod that is being deleted', { ...asked(), members: { 'trading-1': { pod: { deleting: true } } } }, /not in sync \(Terminating: /],
    [
      'a member whose disk does not count yet',
      { ...asked(), members: { 'trading-1': { report: { eligible: false } } } },
      /its disk does not count yet/,
    ],
  ])('%s', (_, scene, reason) => {
    expect(writes(scene)).toMatchObject(tellsWhom('SwitchoverRefused', reason));
  });

  test('while nobody leads', () => {
    expect(plan(observed(asked())).filter(isAbout)).toMatchObject(tellsWhom('SwitchoverRefused', /no member leads/));
  });
});
