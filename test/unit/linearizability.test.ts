// Histories whose verdict is known: from the literature, and of every way in which this system could lie to a client.
import { describe, expect, test } from '@jest/globals';
import type { Attempt, Condition, KeyOperation, Result } from '../lib/client-history.ts';
import { checkLinearizable } from '../lib/linearizability.ts';

interface More {
  readonly key?: string;
  readonly idempotencyKey?: string;
}
const attempt = (
  client: string,
  [invokedAt, returnedAt]: [number, number | null],
  op: KeyOperation,
  result: Result,
  more: More,
): Attempt => ({
  client,
  key: more.key ?? 'x',
  op,
  invokedAt,
  returnedAt,
  result,
  ...(more.idempotencyKey === undefined ? {} : { idempotencyKey: more.idempotencyKey }),
});

const written: Result = { kind: 'written' };
const unknown: Result = { kind: 'unknown' };
const conflict: Result = { kind: 'conflict' };
const refused: Result = { kind: 'refused' };
const at = (uid: number): Result => ({ kind: 'written', uid });

const put = (client: string, times: [number, number | null], value: string, result: Result = written, more: More = {}): Attempt =>
  attempt(client, times, { kind: 'put', value }, result, more);
const putIf = (client: string, times: [number, number], value: string, condition: Condition, result: Result, more: More = {}): Attempt =>
  attempt(client, times, { kind: 'put', value, condition }, result, more);
const remove = (client: string, times: [number, number], result: Result = written): Attempt =>
  attempt(client, times, { kind: 'delete' }, result, {});
const read = (client: string, times: [number, number], value: string | null, uid?: number, more: More = {}): Attempt =>
  attempt(client, times, { kind: 'read' }, { kind: 'value', value, ...(uid === undefined ? {} : { uid }) }, more);

describe('a history that an order explains is linearizable:', () => {
  test.each<[string, Attempt[]]>([
    ['nothing at all', []],
    ['one after the other', [put('a', [0, 1], '1'), read('b', [2, 3], '1'), put('a', [4, 5], '2'), read('b', [6, 7], '2')]],
    // Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990, figure 2(a), for a register.
    ['a read during a write sees it', [put('a', [0, 10], '0'), put('b', [2, 20], '1'), read('a', [12, 14], '1'), read('c', [16, 18], '1')]],
    [
      'a read during a write does not see it',
      [put('a', [0, 1], '0'), put('b', [2, 20], '1'), read('a', [3, 4], '0'), read('c', [5, 6], '1')],
    ],
    ['two writes at once, read in either order', [put('a', [0, 10], '1'), put('b', [0, 10], '2'), read('c', [11, 12], '1')]],
    ['operations that touch each other in one moment', [put('a', [0, 5], '1'), read('b', [5, 6], null), read('b', [7, 8], '1')]],
    ['an unknown put that is never seen', [put('a', [0, 1], '1'), put('b', [2, null], '2', unknown), read('c', [3, 4], '1')]],
    ['an unknown put that is seen late', [put('b', [0, 1], '2', unknown), read('c', [2, 3], null), read('c', [100, 101], '2')]],
    ['a delete, then nothing to see', [put('a', [0, 1], '1'), remove('a', [2, 3]), read('b', [4, 5], null)]],
    ['a refused put that is not seen', [put('a', [0, 1], '1', refused), read('b', [2, 3], null)]],
    [
      'two compare-and-sets of which one wins',
      [putIf('a', [0, 9], '1', { exists: false }, written), putIf('b', [0, 9], '2', { exists: false }, conflict), read('c', [10, 11], '1')],
    ],
    [
      'a compare-and-set on the UID of a put whose answer was lost',
      [put('a', [0, 1], '1', unknown), putIf('b', [2, 3], '2', { uid: 7 }, at(8))],
    ],
    [
      'a change retried until it was acknowledged',
      [
        put('a', [0, 1], '1', unknown, { idempotencyKey: 'k' }),
        put('a', [2, 3], '1', refused, { idempotencyKey: 'k' }),
        put('a', [4, 5], '1', at(3), { idempotencyKey: 'k' }),
        read('b', [2, 3], null),
        read('b', [6, 7], '1', 3),
      ],
    ],
    [
      'a change that is refused its condition before a late attempt of it is accepted',
      [
        putIf('a', [0, 1], '1', { exists: true }, unknown, { idempotencyKey: 'k' }),
        putIf('a', [2, 3], '1', { exists: true }, conflict, { idempotencyKey: 'k' }),
        put('b', [4, 5], '2'),
        read('b', [6, 7], '1'),
      ],
    ],
  ])('%s', (_, history) => {
    expect(checkLinearizable(history)).toMatchObject({ kind: 'linearizable' });
  });
});

describe('a history that no order explains is a violation:', () => {
  test.each<[string, Attempt[]]>([
    ['a stale read', [put('a', [0, 1], '1'), put('a', [2, 3], '2'), read('b', [4, 5], '1')]],
    // Herlihy and Wing 1990, figure 2(b).
    ['a value seen, then the older one', [put('a', [0, 1], '0'), put('b', [2, 20], '1'), read('a', [3, 4], '1'), read('c', [5, 6], '0')]],
    ['a read of a value never written', [put('a', [0, 1], '1'), read('b', [2, 3], '2')]],
    ['a read of a value before it was written', [read('b', [0, 1], '1'), put('a', [2, 3], '1')]],
    ['an acknowledged put that is lost', [put('a', [0, 1], '1'), read('b', [2, 3], null)]],
    ['a refused put that is seen', [put('a', [0, 1], '1', refused), read('b', [2, 3], '1')]],
    [
      'a lost update: two compare-and-sets on one value both succeed',
      [put('a', [0, 1], '1'), putIf('a', [2, 9], '2', { value: '1' }, written), putIf('b', [2, 9], '3', { value: '1' }, written)],
    ],
    [
      'two creations of one key',
      [putIf('a', [0, 9], '1', { exists: false }, written), putIf('b', [0, 9], '2', { exists: false }, written)],
    ],
    ['a conflict with nobody', [put('a', [0, 1], '1', at(1)), putIf('b', [2, 3], '2', { uid: 1 }, conflict)]],
    [
      'an unknown put that is seen, then unseen',
      [put('a', [0, 1], '1'), put('b', [2, null], '2', unknown), read('c', [3, 4], '2'), read('c', [5, 6], '1')],
    ],
    [
      'an unknown put that is seen twice, with another in between: a double application',
      [put('b', [0, null], '2', unknown), read('c', [1, 2], '2'), put('a', [3, 4], '1'), read('c', [5, 6], '2')],
    ],
    [
      'a retried change that is applied twice',
      [
        put('a', [0, 1], '1', unknown, { idempotencyKey: 'k' }),
        read('b', [2, 3], '1'),
        put('b', [4, 5], '2'),
        put('a', [6, 7], '1', written, { idempotencyKey: 'k' }),
        read('b', [8, 9], '1'),
      ],
    ],
    [
      'one idempotency key, two UIDs',
      [put('a', [0, 1], '1', at(1), { idempotencyKey: 'k' }), put('a', [2, 3], '1', at(2), { idempotencyKey: 'k' })],
    ],
    [
      'a conflict for a change that was accepted before',
      [
        putIf('a', [0, 1], '1', { exists: false }, written, { idempotencyKey: 'k' }),
        putIf('a', [2, 3], '1', { exists: false }, conflict, { idempotencyKey: 'k' }),
      ],
    ],
    ['UIDs against the order of the changes', [put('a', [0, 1], '1', at(5)), put('a', [2, 3], '2', at(4))]],
    ['a read with the UID of another change', [put('a', [0, 1], '1', at(5)), read('a', [2, 3], '1', 6)]],
    [
      'an unknown put between two neighbouring UIDs',
      [put('a', [0, 1], '1', at(5)), put('b', [2, 3], '2', unknown), read('c', [4, 5], '2', 6), put('a', [6, 7], '3', at(6))],
    ],
  ])('%s', (_, history) => {
    expect(checkLinearizable(history)).toMatchObject({ kind: 'violation', key: 'x' });
  });

  test('the violation of one key is told, whatever the others do, with the operation that nothing explains', () => {
    const verdict = checkLinearizable([
      put('a', [0, 1], '1'),
      put('a', [2, 3], '2', written, { key: 'y' }),
      read('b', [4, 5], '1', undefined, { key: 'y' }),
    ]);
    expect(verdict).toMatchObject({ kind: 'violation', key: 'y' });
    expect(JSON.stringify(verdict)).toMatch(/value 2 .* before b .* on y from 4 to 5/);
  });
});

describe('what is not decided', () => {
  const many = Array.from({ length: 8 }, (_, nth) => put(`c${String(nth)}`, [0, 100], String(nth)));

  test('is never called linearizable: past the step limit the verdict is undecided', () => {
    const history = [...many, read('r', [101, 102], 'never written')];
    expect(checkLinearizable(history, 20)).toEqual({ kind: 'undecided', key: 'x', steps: 20 });
    expect(checkLinearizable(history)).toMatchObject({ kind: 'violation' });
  });

  test('does not hide a violation of another key', () => {
    const history = [...many, read('r', [101, 102], 'never written'), read('r', [0, 1], '1', undefined, { key: 'y' })];
    expect(checkLinearizable(history, 20)).toMatchObject({ kind: 'violation', key: 'y' });
  });
});

test.each<[string, Attempt]>([
  ['returns before it is invoked', put('a', [2, 1], '1')],
  ['has a result and no time of it', put('a', [2, null], '1', written)],
  ['reads and is told that it wrote', attempt('a', [0, 1], { kind: 'read' }, written, {})],
  ['writes and is told a value', put('a', [0, 1], '1', { kind: 'value', value: '1' })],
])('an attempt that %s is a fault of whoever recorded it', (_, wrong) => {
  expect(() => checkLinearizable([wrong])).toThrow(/makes no sense/);
});

test('two changes under one idempotency key are a fault of whoever recorded them', () => {
  expect(() =>
    checkLinearizable([put('a', [0, 1], '1', written, { idempotencyKey: 'k' }), put('a', [2, 3], '2', written, { idempotencyKey: 'k' })]),
  ).toThrow(/reuses the idempotency key/);
});
