// The decision to open a start round: when, with whom, who is designated, and what it refuses.
import { describe, expect, test } from '@jest/globals';
import { judge } from '../../operator/core/judgement.ts';
import type { StartDecision } from '../../operator/core/start-round.ts';
import { at, founding, healthy, holderOf, nowMs, observed, round, type Scene } from '../lib/observed-cluster.ts';

const decide = (scene: Scene = {}): StartDecision => judge(observed(scene)).start;
const opened = (scene: Scene = {}) => {
  const decision = decide(scene);
  if (decision.kind !== 'open') throw new Error(`not opened but ${JSON.stringify(decision)}`);
  return decision.round;
};
const waiting = (...positions: ReturnType<typeof at>[]) =>
  Object.fromEntries(positions.map((position, ordinal) => [`trading-${String(ordinal)}`, { position }]));
const gatheringSince = (agoMs: number) => ({
  conditions: [
    {
      type: 'GateOpen' as const,
      status: 'False' as const,
      lastTransitionTime: new Date(nowMs - agoMs).toISOString(),
      reason: 'Gathering',
      message: '',
    },
  ],
});

describe('a start round', () => {
  test('K7: opens when every electable member waits, and counts their sessions', () => {
    expect(opened()).toMatchObject({
      number: 1,
      generation: 0,
      claim: 'elected',
      configuration: founding,
      counted: [0, 1, 2].map((ordinal) => ({ pod: `trading-${String(ordinal)}`, session: `trading-${String(ordinal)}-session` })),
    });
  });

  test.each([
    ['the highest UID', [at(1, 4), at(1, 9), at(1, 8)], 'trading-1'],
    ['the epoch before the UID', [at(2, 4), at(1, 9), at(1, 8)], 'trading-0'],
    ['the generation before the number', [at(9, 4), at(1, 3, 1), at(9, 8)], 'trading-1'],
    ['the first in failover.csv on a tie', [at(1, 9), at(1, 9), at(1, 9)], 'trading-0'],
  ])('K6: designates %s', (_, positions, designated) => {
    expect(opened({ members: waiting(...positions) }).designated).toBe(designated);
  });

  test('counts members that are to go for as long as they count (I2)', () => {
    const scene = { spec: { members: 1 }, status: { clusterId: 'c1', founding: [...founding] }, kept: 3 };
    const configurations = [founding];
    const members = Object.fromEntries(
      [at(1, 2), at(2, 5), at(1, 3)].map((position, ordinal) => [
        `trading-${String(ordinal)}`,
        { position, report: { voter: true, configurations } },
      ]),
    );
    expect(opened({ ...scene, members })).toMatchObject({ claim: 'elected', designated: 'trading-1' });
    expect(decide({ ...scene, members: { ...members, 'trading-1': { pod: null } } }).kind).toBe('gathering');
  });

  test('K6: designates the preferred leader on a tie, and nobody else when it is behind', () => {
    const spec = { preferredLeader: 'trading-2' };
    expect(opened({ spec }).designated).toBe('trading-2');
    expect(opened({ spec, members: waiting(at(1, 10), at(1, 10), at(1, 9)) }).designated).toBe('trading-0');
  });

  test.each<[string, Scene]>([
    ['somebody leads', { leader: 'trading-0', members: { 'trading-0': { phase: 'Leading' } } }],
    ['the leader may still be alive', { leader: 'trading-0' }],
    ['a member may stand for election', { members: { 'trading-1': { phase: 'Following' } } }],
    ['a member is eligible while it waits', { members: { 'trading-1': { report: { eligible: true } } } }],
    [
      'a member was counted in the open round and has not read it yet',
      { leaderLease: { round: round({ counted: [{ pod: 'trading-1', session: 'trading-1-session' }] }) } },
    ],
  ])('is not needed when %s', (_, scene) => {
    expect(decide(scene).kind).toBe('notNeeded');
  });

  test('does not wait for who was counted in the open round and has no log of its generation: it may not stand (K10)', () => {
    const promise = { generation: 1, number: 0, nonce: '' };
    const members = {
      'trading-0': { position: at(0, 10, 1), report: { promise: at(0, 10, 1).epoch } },
      'trading-1': { position: at(2, 9), report: { promise } },
      'trading-2': { position: at(1, 8), report: { promise } },
    };
    const counted = [{ pod: 'trading-1', session: 'trading-1-session' }];
    const open = round({ generation: 1, counted });
    expect(opened({ members, leaderLease: { round: open } })).toMatchObject({ claim: 'elected', generation: 1, designated: 'trading-0' });
  });

  test.each<[string, Scene['members']]>([
    ['has no pod', { 'trading-1': { pod: null } }],
    ['has said nothing', { 'trading-1': { report: null } }],
    ['is still starting', { 'trading-1': { phase: 'Starting' } }],
    ['is blocked', { 'trading-1': { phase: 'Blocked' } }],
    ['is being deleted', { 'trading-1': { pod: { deleting: true } } }],
    ['no longer renews its report', { 'trading-1': { ageMs: 9_000 } }],
    ['was not seen to renew its report by this process', { 'trading-1': { proven: false } }],
    ['reported from another pod of that name', { 'trading-1': { report: { podUid: 'gone' } } }],
    ['was eligible in a pod that is gone', { 'trading-1': { phase: 'Following', report: { podUid: 'gone' } } }],
    ['is blocked, though it was eligible', { 'trading-1': { phase: 'Blocked', report: { eligible: true } } }],
  ])('waits for a member that %s', (_, members) => {
    const decision = decide({ members: members ?? {} });
    expect(decision).toMatchObject({ kind: 'gathering', missing: [{ name: 'trading-1' }], decideAgainMs: null });
  });

  test('designates no disk that does not count, though it comes first', () => {
    const replaced = { report: { incarnation: 'another', voter: false } };
    expect(opened({ status: { clusterId: 'c1', founding }, members: { 'trading-0': replaced } }).designated).toBe('trading-1');
  });

  test('does not wait for disaster-recovery replicas, and does not count them (I4)', () => {
    const found = opened({ spec: { disasterRecovery: { replicas: 1 } }, members: { 'trading-dr-0': { position: at(5, 50) } } });
    expect(found.designated).toBe('trading-0');
    expect(found.counted).toHaveLength(3);
  });

  test('waits for the leader Lease to be made', () => {
    expect(decide({ leaderLease: null })).toMatchObject({ kind: 'gathering', missing: [] });
  });

  test('opens when the last holder is gone or silent, and nobody is eligible', () => {
    expect(opened({ leader: 'trading-0', leaderLease: { holder: 'trading-0_old_old' } }).number).toBe(1);
    expect(opened({ leader: 'trading-0', leaderLease: { ageMs: 7_000 } }).number).toBe(1);
  });

  test('has the next number, whichever of Lease and status knows the last', () => {
    expect(opened({ leaderLease: { round: round({ number: 4 }) } }).number).toBe(5);
    expect(opened({ status: { startup: { round: 6, expected: 3, present: 3 } } }).number).toBe(7);
  });
});

describe('the policy Quorum', () => {
  const spec = { startup: { policy: 'Quorum', timeout: '5m' } };
  const members = { 'trading-1': { pod: null } };

  test('waits for all until the timeout, and decides again then', () => {
    expect(decide({ spec, members })).toMatchObject({ kind: 'gathering', decideAgainMs: 300_000 });
    expect(decide({ spec, members, status: gatheringSince(100_000) })).toMatchObject({ kind: 'gathering', decideAgainMs: 200_000 });
  });

  test('opens with a majority after the timeout', () => {
    const found = opened({ spec, members, status: { clusterId: 'c1', ...gatheringSince(300_000) } });
    expect(found.counted.map(({ pod }) => pod)).toEqual(['trading-0', 'trading-2']);
  });

  test('does not open with less than a majority', () => {
    const few = { ...members, 'trading-2': { pod: null } };
    expect(decide({ spec, members: few, status: gatheringSince(900_000) })).toMatchObject({ kind: 'gathering', decideAgainMs: null });
  });

  test('founds no cluster with less than a majority', () => {
    const few = { ...waiting(at(0, 0)), ...members, 'trading-2': { pod: null } };
    expect(decide({ spec, members: few, status: gatheringSince(900_000) }).kind).toBe('gathering');
  });

  test('recovers nothing while a member is missing, which may have what the others lack (I2)', () => {
    const replaced = { report: { incarnation: 'another', voter: false } };
    const status = { clusterId: 'c1', founding, ...gatheringSince(900_000) };
    expect(decide({ spec, status, members: { ...members, 'trading-2': replaced } }).kind).toBe('gathering');
    expect(opened({ spec, status, members: { 'trading-1': replaced, 'trading-2': replaced } }).claim).toBe('recovery');
  });

  test('opens with all before the timeout', () => {
    expect(opened({ spec }).counted).toHaveLength(3);
  });

  test('never waits longer than the timeout, wherever the clock stood when gathering began', () => {
    expect(decide({ spec, members, status: gatheringSince(-7_200_000) })).toMatchObject({ decideAgainMs: 300_000 });
  });
});

describe('identity of the log', () => {
  const ids = (...found: (string | null)[]) =>
    Object.fromEntries(found.map((clusterId, ordinal) => [`trading-${String(ordinal)}`, { report: { clusterId } }]));
  test('is the one of the status, of the logs, or a new one', () => {
    expect(opened({ status: { clusterId: 'known' }, members: ids(null, null, null) }).clusterId).toBe('known');
    expect(opened({ members: ids(null, 'logs', null) }).clusterId).toBe('logs');
    expect(opened({ members: ids(null, null, null) }).clusterId).toBe('fresh');
  });

  test('has to be one: others are named', () => {
    const parted = decide({ members: ids('a', 'a', 'b') });
    expect(parted).toMatchObject({ kind: 'refused', reason: 'ForeignLog' });
    expect(parted.kind === 'refused' && parted.message).toContain('trading-2 has the log of b');
    expect(decide({ status: { clusterId: 'a' }, members: ids('b', 'b', 'b') }).kind).toBe('refused');
  });
});

describe('I6: the high-water mark', () => {
  const status = { clusterId: 'c1', highWaterMark: at(2, 20), uid: 20 };
  test.each([
    ['fewer changes', at(2, 17), '3 acknowledged changes are missing'],
    ['more changes of an older epoch', at(1, 30), 'it does not hold that change'],
    ['another change in its place', { ...at(2, 20), hash: 'f'.repeat(64) }, 'it does not hold that change'],
  ])('keeps a log with %s from leading', (_, position, words) => {
    const decision = decide({ status, members: waiting(position, at(1, 1), at(1, 1)) });
    expect(decision).toMatchObject({ kind: 'refused', reason: 'BelowHighWaterMark' });
    expect(decision.kind === 'refused' && decision.message).toContain(words);
  });

  test('admits a log that ends there or beyond, and travels in the round', () => {
    expect(opened({ status, members: waiting(at(2, 20), at(1, 1), at(1, 1)) }).highWaterMark).toEqual(at(2, 20));
    expect(opened({ status, members: waiting(at(3, 20), at(1, 1), at(1, 1)) }).designated).toBe('trading-0');
  });

  test('is also what a member reported as acknowledged that is gone now', () => {
    const gone = { pod: { uid: 'new' }, report: { podUid: 'old', acknowledged: at(2, 25) }, phase: 'Leading' as const };
    const spec = { startup: { policy: 'Quorum', timeout: '1s' } };
    const decision = decide({
      spec,
      status: { ...status, ...gatheringSince(5_000) },
      members: { ...waiting(at(2, 20), at(2, 20)), 'trading-2': gone },
    });
    expect(decision).toMatchObject({ kind: 'refused', reason: 'BelowHighWaterMark' });
  });

  test('is not taken from the log of another cluster', () => {
    const members = { ...waiting(at(2, 20), at(2, 20)), 'trading-2': { report: { clusterId: null, acknowledged: at(9, 99) } } };
    expect(opened({ status, members }).highWaterMark).toEqual(at(2, 20));
  });
});

test('a healthy cluster needs no round', () => {
  expect(judge(healthy()).start.kind).toBe('notNeeded');
  expect(holderOf('trading-0')).toBe('trading-0_trading-0-uid_trading-0-session');
});
