// Which epoch is higher and which log is more advanced: total orders, on which votes, ranks and start rounds rest (K6).
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareEpochs, comparePositions, emptyPosition, noEpoch, sameEpoch, type Epoch, type Position } from '../../common/position.ts';
import * as anything from '../lib/arbitrary-log.ts';

/** Equal often enough, and as large as they may be. */
const number = fc.oneof(fc.nat({ max: 2 }), fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1), fc.maxSafeNat());
const epoch: fc.Arbitrary<Epoch> = fc.record({ generation: number, number, nonce: fc.constantFrom('', 'a', 'b') });
const position: fc.Arbitrary<Position> = fc.record({ epoch, uid: number, index: number, hash: anything.hash });

const firstDifference = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((each, nth) => each !== b[nth]);
  return at === -1 ? 0 : Math.sign((a[at] ?? 0) - (b[at] ?? 0));
};
const epochRank = (each: Epoch): number[] => [each.generation, each.number];
const positionRank = (each: Position): number[] => [...epochRank(each.epoch), each.uid, each.index];

describe.each<[string, fc.Arbitrary<never>, (a: never, b: never) => number, (each: never) => number[]]>([
  ['epochs', epoch as fc.Arbitrary<never>, compareEpochs, epochRank],
  ['positions', position as fc.Arbitrary<never>, comparePositions, positionRank],
])('%s', (_, each, compare, rank) => {
  test('are ordered by their fields, the first that differs decides', () => {
    fc.assert(
      fc.property(each, each, (a, b) => {
        expect(Math.sign(compare(a, b))).toBe(firstDifference(rank(a), rank(b)));
      }),
    );
  });

  test('are in a total order: two of them always compare, the other way round is the reverse, and three make no circle', () => {
    fc.assert(
      fc.property(each, each, each, (a, b, c) => {
        expect(Math.sign(compare(a, b)) + Math.sign(compare(b, a))).toBe(0);
        expect(compare(a, a)).toBe(0);
        if (compare(a, b) >= 0 && compare(b, c) >= 0) expect(compare(a, c)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

test('the nonce tells two claims of one number apart and never ranks them', () => {
  const [one, other] = [
    { generation: 1, number: 2, nonce: 'a' },
    { generation: 1, number: 2, nonce: 'b' },
  ];
  expect(compareEpochs(one, other)).toBe(0);
  expect([sameEpoch(one, other), sameEpoch(one, { ...one })]).toEqual([false, true]);
});

test('nothing is below an empty log, nor below no epoch', () => {
  fc.assert(
    fc.property(position, (each) => {
      expect(comparePositions(each, emptyPosition)).toBeGreaterThanOrEqual(0);
      expect(compareEpochs(each.epoch, noEpoch)).toBeGreaterThanOrEqual(0);
    }),
  );
});
