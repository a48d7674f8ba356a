// What people ask of a pod by annotation: forced start (K10) and discarding local changes (K9), from the observation to the writes.
import { describe, expect, test } from '@jest/globals';
import { plan, type Action } from '../../operator/core/plan.ts';
import { annotations } from '../../common/names.ts';
import { at, clusterId, founding, observed, round, type Scene } from '../lib/observed-cluster.ts';

const forceStart = { orders: { forceStart: true, discardLocal: false } };
const discardLocal = { orders: { forceStart: false, discardLocal: true } };
const founded = { clusterId, generation: 0, founding };
const blocked = { phase: 'Blocked' as const, report: { reason: 'AheadOfLeader', eligible: false } };
const healthy: Scene = {
  leader: 'trading-0',
  members: { 'trading-0': { phase: 'Leading' }, 'trading-1': { phase: 'Following' }, 'trading-2': { phase: 'Following' } },
};
const ofKind = <Kind extends Action['kind']>(scene: Scene, kind: Kind): Extract<Action, { kind: Kind }>[] =>
  plan(observed(scene)).filter((action): action is Extract<Action, { kind: Kind }> => action.kind === kind);

describe('force-start', () => {
  const scene: Scene = {
    ...healthy,
    status: founded,
    members: { ...healthy.members, 'trading-2': { ...blocked, position: at(1, 20), pod: forceStart } },
  };

  test('raises the generation in the status before it opens a round that names the pod (K10)', () => {
    expect(ofKind(scene, 'openRound')).toEqual([]);
    expect(ofKind(scene, 'writeStatus')[0]?.status.generation).toBe(1);
    const [open] = ofKind({ ...scene, status: { ...founded, generation: 1, highWaterMark: at(2, 30) } }, 'openRound');
    expect(open?.round).toMatchObject({
      designated: 'trading-2',
      claim: 'forced',
      generation: 1,
      highWaterMark: null,
      configuration: founding,
    });
  });

  test('is taken off the pod when the round names its process, and asked again is done again', () => {
    const carriedOut: Scene = {
      ...scene,
      status: { ...founded, generation: 1 },
      leaderLease: {
        round: round({
          claim: 'forced',
          generation: 1,
          designated: 'trading-2',
          counted: [{ pod: 'trading-2', session: 'trading-2-session' }],
        }),
      },
    };
    expect(ofKind(carriedOut, 'openRound')).toEqual([]);
    expect(ofKind(carriedOut, 'consumeOrder')).toMatchObject([
      {
        pod: 'trading-2',
        annotation: annotations.forceStart,
        event: { reason: 'ForceStarted', message: expect.stringContaining('UID 20') },
      },
    ]);
  });

  test.each<[string, Scene, RegExp]>([
    ['the pod leads', { ...healthy, members: { ...healthy.members, 'trading-0': { phase: 'Leading', pod: forceStart } } }, /leads already/],
    [
      'the pod follows',
      { ...healthy, members: { ...healthy.members, 'trading-1': { phase: 'Following', pod: forceStart } } },
      /nothing keeps it/,
    ],
    [
      'the pod is a disaster-recovery replica (K11)',
      {
        ...healthy,
        spec: { disasterRecovery: { replicas: 1 } },
        members: { ...healthy.members, 'trading-dr-0': { phase: 'Following', pod: forceStart } },
      },
      /never leads/,
    ],
  ])('is refused with the reason when %s', (_, refused, reason) => {
    expect(ofKind({ ...refused, status: founded }, 'openRound')).toEqual([]);
    expect(ofKind({ ...refused, status: founded }, 'consumeOrder')).toMatchObject([
      { event: { reason: 'ForceStartRefused', message: expect.stringMatching(reason) } },
    ]);
  });

  test('is refused where nothing was founded yet: there is no log to lead with, and the first round opens by itself', () => {
    const unfounded = (pod: object) => ({ position: at(0, 0), report: { clusterId: null, voter: false }, pod });
    const members = { 'trading-0': unfounded({}), 'trading-1': unfounded({}), 'trading-2': unfounded(forceStart) };
    expect(ofKind({ members }, 'consumeOrder')).toMatchObject([
      { pod: 'trading-2', event: { reason: 'ForceStartRefused', message: expect.stringMatching(/not founded yet/) } },
    ]);
    expect(ofKind({ members, status: { clusterId, generation: 0, founding } }, 'consumeOrder')).toEqual([]);
    expect(ofKind({ members }, 'writeStatus')[0]?.status.founding).toHaveLength(3);
  });

  test.each([
    ['has not spoken yet', { report: null }],
    ['does not know its disk yet', { phase: 'Starting' as const, report: { incarnation: '' } }],
    ['speaks no more', { ageMs: 60_000 }],
  ])('waits for a pod that %s, and raises no generation meanwhile', (_, member) => {
    const silent: Scene = { ...healthy, status: founded, members: { ...healthy.members, 'trading-2': { ...member, pod: forceStart } } };
    expect([...ofKind(silent, 'openRound'), ...ofKind(silent, 'consumeOrder')]).toEqual([]);
    expect(ofKind(silent, 'writeStatus').map(({ status }) => status.generation)).not.toContain(1);
  });
});

describe('discard-local', () => {
  test('is told to the blocked member on its own Lease, by its session (K9)', () => {
    const scene: Scene = { ...healthy, status: founded, members: { ...healthy.members, 'trading-2': { ...blocked, pod: discardLocal } } };
    expect(ofKind(scene, 'tellToDiscard')).toMatchObject([{ lease: { name: 'trading-2' }, session: 'trading-2-session' }]);
    expect(ofKind(scene, 'consumeOrder')).toEqual([]);
  });

  test('is refused when the member is not blocked', () => {
    const scene: Scene = {
      ...healthy,
      status: founded,
      members: { ...healthy.members, 'trading-2': { phase: 'Following', pod: discardLocal } },
    };
    expect(ofKind(scene, 'consumeOrder')).toMatchObject([{ event: { reason: 'DiscardRefused' } }]);
  });
});

describe('a round', () => {
  const lost = (name: string) => ({ position: at(0, 0), report: { voter: false, incarnation: `${name}-new-disk` } });
  const recovery: Scene = {
    status: { ...founded, generation: 1 },
    members: { 'trading-1': lost('trading-1'), 'trading-2': lost('trading-2') },
  };

  test('recovers by the most advanced log when too few of the disks that count are left, and raises the generation first', () => {
    expect(ofKind({ ...recovery, status: founded }, 'openRound')).toEqual([]);
    expect(ofKind({ ...recovery, status: founded }, 'writeStatus')[0]?.status.generation).toBe(1);
    const [open] = ofKind(recovery, 'openRound');
    expect(open?.round).toMatchObject({ claim: 'recovery', generation: 1, designated: 'trading-0' });
    expect(open?.round.configuration.map(({ incarnation }) => incarnation)).toEqual([
      'trading-0-disk',
      'trading-1-new-disk',
      'trading-2-new-disk',
    ]);
  });

  test('does not recover while a member is missing', () => {
    const scene = { ...recovery, members: { ...recovery.members, 'trading-2': { report: null } } };
    expect(ofKind(scene, 'openRound')).toEqual([]);
  });

  test('recovers again, in a higher generation, when the one before came to nothing', () => {
    const promised = { promise: { generation: 1, number: 0, nonce: '' } };
    const members = Object.fromEntries(['trading-0', 'trading-1', 'trading-2'].map((name) => [name, { report: promised }]));
    const [open] = ofKind({ status: { ...founded, generation: 2 }, members }, 'openRound');
    expect(open?.round).toMatchObject({ claim: 'recovery', generation: 2 });
  });

  test('founds a cluster once: an empty disk that came later does not count in an election', () => {
    const empty = { position: at(0, 0), report: { voter: false } };
    const members = { 'trading-0': empty, 'trading-1': empty, 'trading-2': { ...empty, report: { voter: false, incarnation: 'later' } } };
    const [open] = ofKind({ status: founded, members }, 'openRound');
    expect(open?.round).toMatchObject({ claim: 'elected', configuration: founding });
    expect(open?.round.designated).not.toBe('trading-2');
  });

  const disk = (pod: string, incarnation = `${pod}-disk`) => ({ pod, incarnation });
  const lostDisk = (name: string) => ({ report: { voter: false, incarnation: `${name}-new-disk` } });

  test('recovers although a member still stands for election, which cannot win, and holds the Lease', () => {
    const scene: Scene = {
      status: { ...founded, generation: 1 },
      leader: 'trading-0',
      members: {
        'trading-0': { report: { eligible: true, reason: 'Electing' } },
        'trading-1': lostDisk('trading-1'),
        'trading-2': lostDisk('trading-2'),
      },
    };
    expect(ofKind(scene, 'openRound')[0]?.round).toMatchObject({ claim: 'recovery', generation: 1, designated: 'trading-0' });
  });

  test('recovers when the old majority of a configuration under way is lost, although two disks count in one of both', () => {
    const configurations = [founding, [disk('trading-0'), disk('trading-1'), disk('trading-2', 'trading-2-new-disk')]];
    const scene: Scene = {
      status: { ...founded, generation: 1 },
      members: {
        'trading-0': { report: { configurations } },
        'trading-1': lostDisk('trading-1'),
        'trading-2': { report: { voter: true, incarnation: 'trading-2-new-disk', configurations } },
      },
    };
    expect(ofKind(scene, 'openRound')[0]?.round).toMatchObject({ claim: 'recovery', generation: 1 });
  });

  test('does not disturb the member that claims without votes', () => {
    const recovering = round({
      claim: 'recovery',
      generation: 1,
      designated: 'trading-0',
      counted: [{ pod: 'trading-0', session: 'trading-0-session' }],
    });
    const scene = (promise: { generation: number; number: number; nonce: string }): Scene => ({
      status: { ...founded, generation: 1 },
      leaderLease: { round: recovering },
      members: {
        'trading-0': { report: { eligible: true, reason: 'Electing', promise } },
        'trading-1': lostDisk('trading-1'),
        'trading-2': lostDisk('trading-2'),
      },
    });
    expect(ofKind(scene({ generation: 1, number: 0, nonce: 'n' }), 'openRound')).toEqual([]);
    // It was overtaken, and stands for election like everybody: the next generation is raised.
    expect(ofKind(scene({ generation: 1, number: 4, nonce: 'n' }), 'writeStatus')[0]?.status.generation).toBe(2);
  });

  test('does not wait for a member that was counted in the open round and whose disk counts for nothing', () => {
    const counted = [{ pod: 'trading-0', session: 'trading-0-session' }];
    const configuration = [disk('trading-1'), disk('trading-2')];
    const empty = { position: at(0, 0), report: { voter: false } };
    const scene: Scene = {
      status: { ...founded, founding: configuration },
      leaderLease: { round: round({ counted, configuration }) },
      members: { 'trading-0': empty, 'trading-1': empty, 'trading-2': empty },
    };
    expect(ofKind(scene, 'openRound')).toHaveLength(1);
  });

  test('of an election never names a generation that no log has', () => {
    expect(ofKind({ status: { ...founded, generation: 3 } }, 'openRound')[0]?.round).toMatchObject({ claim: 'elected', generation: 0 });
  });
});
