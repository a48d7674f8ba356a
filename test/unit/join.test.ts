// What a starting member is told (K4, K8, K9), judged on pairs of real logs: the facts are read off the logs, the outcome from the table of the design.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decideJoin, type JoinDecision, type JoinFacts } from '../../sidecar/core/join.ts';
import { emptyPosition, type Position } from '../../common/position.ts';
import { lastUid, type Frame } from '../../sidecar/core/frame.ts';
import { epochOf, frameAfter, framesAfter, put } from '../lib/sample-frames.ts';

interface SampleLog {
  readonly clusterId: string;
  readonly frames: readonly Frame[];
}
const endOf = ({ frames }: SampleLog): Position => {
  const last = frames.at(-1);
  return last === undefined ? emptyPosition : { epoch: last.epoch, uid: lastUid(last), index: last.index, hash: last.hash };
};
const contains = ({ frames }: SampleLog, { index, hash }: Position): boolean => index === 0 || frames[index - 1]?.hash === hash;

const factsOf = (local: SampleLog, leader: SampleLog, divergedMember: JoinFacts['divergedMember'] = 'Archive'): JoinFacts => ({
  local: endOf(local),
  localClusterId: local.frames.length === 0 ? null : local.clusterId,
  leader: endOf(leader),
  leaderClusterId: leader.clusterId,
  leaderHasLocalEnd: contains(leader, endOf(local)),
  localHasLeaderEnd: contains(local, endOf(leader)),
  divergedMember,
});
const told = (decision: JoinDecision): string => (decision.kind === 'blocked' ? decision.reason : decision.kind);

/** A log that shares `shared` frames with another one and goes on with frames of its own, claims among them. */
const logOf = (shared: readonly Frame[], sizes: readonly number[], label: string): SampleLog => {
  const own: Frame[] = [];
  for (const [at, size] of sizes.entries()) {
    const changes = Array.from({ length: size }, (_, nth) => put(label, `${String(at)}.${String(nth)}`));
    own.push(frameAfter(own.at(-1) ?? shared.at(-1) ?? null, changes, epochOf(2, label)));
  }
  return { clusterId: 'c', frames: [...shared, ...own] };
};
const sizes = fc.array(fc.nat({ max: 3 }), { maxLength: 4 });
const pair = fc.tuple(fc.nat({ max: 3 }), sizes, sizes).map(([common, ours, theirs]) => {
  const shared = framesAfter(null, common);
  return { local: logOf(shared, ours, 'local'), leader: logOf(shared, theirs, 'leader') };
});

/** The rows of the table, from the logs themselves. */
function expected(local: SampleLog, leader: SampleLog, divergedMember: 'Archive' | 'Block'): string {
  if (local.frames.length === 0) return 'sync';
  if (local.clusterId !== leader.clusterId) return 'ForeignLog';
  const same = local.frames.findIndex(({ hash }, at) => leader.frames[at]?.hash !== hash);
  if (same === -1) return 'follow';
  if (same === leader.frames.length) return 'AheadOfLeader';
  if (endOf(leader).uid < endOf(local).uid) return 'AheadOfLeader';
  return divergedMember === 'Block' ? 'Diverged' : 'archiveAndFollow';
}

const shared = framesAfter(null, 3);
const short: SampleLog = { clusterId: 'c', frames: shared };

describe('a member that starts and meets a leader', () => {
  test.each<[string, SampleLog, SampleLog, string]>([
    ['with an empty log syncs', { clusterId: 'c', frames: [] }, short, 'sync'],
    ['with a log of another cluster is blocked', { ...short, clusterId: 'other' }, short, 'ForeignLog'],
    ['with the same log follows', short, short, 'follow'],
    ["with a prefix of the leader's log follows", short, logOf(shared, [1], 'leader'), 'follow'],
    ["that has changes beyond the leader's log is blocked (K9)", logOf(shared, [1], 'local'), short, 'AheadOfLeader'],
    ["that has only a claim beyond the leader's log is blocked (K9)", logOf(shared, [0], 'local'), short, 'AheadOfLeader'],
    ['that parted and has a lower UID archives (K8)', logOf(shared, [1], 'local'), logOf(shared, [2], 'leader'), 'archiveAndFollow'],
    ['that parted and has the same UID archives (K8)', logOf(shared, [1], 'local'), logOf(shared, [1], 'leader'), 'archiveAndFollow'],
    ['that parted and has a higher UID is blocked (K9)', logOf(shared, [2], 'local'), logOf(shared, [1], 'leader'), 'AheadOfLeader'],
    ['that parted at the first frame archives (K8)', logOf([], [1], 'local'), logOf([], [1], 'leader'), 'archiveAndFollow'],
  ])('%s', (_, local, leader, outcome) => {
    expect(told(decideJoin(factsOf(local, leader)))).toBe(outcome);
    expect(told(decideJoin(factsOf(local, leader, 'Block')))).toBe(outcome === 'archiveAndFollow' ? 'Diverged' : outcome);
  });

  test('is told what the table says, whatever the two logs are', () => {
    fc.assert(
      fc.property(
        pair,
        fc.constantFrom('Archive' as const, 'Block' as const),
        fc.boolean(),
        ({ local, leader }, divergedMember, foreign) => {
          const mine = foreign ? { ...local, clusterId: 'other' } : local;
          expect(told(decideJoin(factsOf(mine, leader, divergedMember)))).toBe(expected(mine, leader, divergedMember));
        },
      ),
    );
  });

  test("never gives up changes that the leader has not passed: it archives only below or at the leader's UID (K9, I5)", () => {
    fc.assert(
      fc.property(pair, ({ local, leader }) => {
        const outcome = told(decideJoin(factsOf(local, leader)));
        if (outcome === 'archiveAndFollow') expect(endOf(local).uid).toBeLessThanOrEqual(endOf(leader).uid);
      }),
    );
  });
});

describe('two members with different logs', () => {
  test('are never both told to follow the other; the prefix always follows', () => {
    fc.assert(
      fc.property(pair, ({ local, leader }) => {
        const [there, back] = [decideJoin(factsOf(local, leader)), decideJoin(factsOf(leader, local))];
        const isSame = endOf(local).hash === endOf(leader).hash;
        const joins = [there, back].filter(({ kind }) => kind === 'follow' || kind === 'sync');
        if (!isSame) expect(joins.length).toBeLessThan(2);
        if (contains(leader, endOf(local)) && local.frames.length > 0) expect(there).toEqual({ kind: 'follow' });
      }),
    );
  });

  test('that parted at different UIDs: the one behind archives, the one ahead waits', () => {
    fc.assert(
      fc.property(pair, ({ local, leader }) => {
        const parted = !contains(leader, endOf(local)) && !contains(local, endOf(leader));
        if (!parted || endOf(local).uid === endOf(leader).uid) return;
        const outcomes = [decideJoin(factsOf(local, leader)), decideJoin(factsOf(leader, local))].map(told);
        expect(endOf(local).uid < endOf(leader).uid ? outcomes : outcomes.reverse()).toEqual(['archiveAndFollow', 'AheadOfLeader']);
      }),
    );
  });
});
