// The checker of linearizability against one that tries every order, and how many steps it takes for long histories.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { happeningsOf, type Attempt, type Condition, type Happening, type KeyOperation, type Result } from '../lib/client-history.ts';
import { checkLinearizable } from '../lib/linearizability.ts';

const value = fc.constantFrom('1', '2');
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ exists: fc.boolean() }),
  fc.record({ value }),
  fc.record({ uid: fc.nat({ max: 4 }) }),
);
const uid = fc.integer({ min: 1, max: 4 });
const change = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), value }),
  fc.record({ kind: fc.constant('put' as const), value, condition }),
  fc.constant({ kind: 'delete' as const }),
  fc.record({ kind: fc.constant('delete' as const), condition }),
);
const result: fc.Arbitrary<Result> = fc.oneof(
  fc.constant({ kind: 'written' as const }),
  fc.record({ kind: fc.constant('written' as const), uid }),
  fc.constantFrom<Result>({ kind: 'conflict' }, { kind: 'unknown' }, { kind: 'refused' }),
);
const seen: fc.Arbitrary<Result> = fc.oneof(
  fc.record({ kind: fc.constant('value' as const), value: fc.option(value) }),
  fc.record({ kind: fc.constant('value' as const), value, uid }),
);
const asked = fc.oneof(
  { weight: 3, arbitrary: fc.tuple<[KeyOperation, Result]>(change, result) },
  { weight: 2, arbitrary: fc.tuple<[KeyOperation, Result]>(fc.constant({ kind: 'read' }), seen) },
);
const attempt: fc.Arbitrary<Attempt> = fc
  .tuple(asked, fc.nat({ max: 9 }), fc.nat({ max: 6 }), fc.option(fc.nat({ max: 1 }), { freq: 3 }))
  .map(([[op, told], invokedAt, durationMs, retry]) => ({
    client: 'c',
    key: 'x',
    op,
    invokedAt,
    returnedAt: invokedAt + durationMs,
    result: told,
    // Retries ask for the same: the operation is part of the key.
    ...(retry === null || op.kind === 'read' ? {} : { idempotencyKey: `${JSON.stringify(op)}${String(retry)}` }),
  }));

const maxUid = 12;

/** Every order, every choice of what happened, every UID of what has none: as slow as it is simple. */
function isExplained(left: readonly Happening[], at: { value: string | null; uid: number }): boolean {
  if (left.every(({ optional }) => optional)) return true;
  return left.some((next) => {
    if (left.some((other) => other !== next && other.returnedAt < next.invokedAt)) return false;
    const rest = left.filter((each) => each !== next);
    const { op, result: told } = next.attempt;
    if (told.kind === 'value') return told.value === at.value && (told.uid ?? at.uid) === at.uid && isExplained(rest, at);
    if (op.kind === 'read') return false;
    const holds =
      (op.condition?.exists ?? at.value !== null) === (at.value !== null) &&
      (op.condition?.value ?? at.value) === at.value &&
      (op.condition?.uid ?? (at.value === null ? 0 : at.uid)) === (at.value === null ? 0 : at.uid);
    if (told.kind === 'conflict') return !holds && (next.before === null || left.includes(next.before)) && isExplained(rest, at);
    if (!holds) return false;
    const uids = told.kind === 'written' && told.uid !== undefined ? [told.uid] : Array.from({ length: maxUid }, (_, nth) => nth + 1);
    return uids.some((each) => each > at.uid && isExplained(rest, { value: op.kind === 'put' ? op.value : null, uid: each }));
  });
}

test('says what a search through every order says, of small histories', () => {
  const verdicts = { linearizable: 0, violation: 0 };
  fc.assert(
    fc.property(fc.array(attempt, { minLength: 1, maxLength: 5 }), (history) => {
      const happenings = happeningsOf(history);
      const explained = typeof happenings !== 'string' && isExplained(happenings, { value: null, uid: 0 });
      const verdict = checkLinearizable(history).kind;
      if (verdict !== 'undecided') verdicts[verdict] += 1;
      if (explained) expect(verdict).toBe('linearizable');
      // A conflict over a UID that nobody was told is believed.
      else if (!history.some(({ op, result: told }) => told.kind === 'conflict' && op.kind !== 'read' && op.condition?.uid !== undefined))
        expect(verdict).toBe('violation');
    }),
    { numRuns: 3000 },
  );
  expect(verdicts.linearizable).toBeGreaterThan(100);
  expect(verdicts.violation).toBeGreaterThan(100);
});

/** A generator of numbers that gives the same each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What clients see of a store that does everything at one moment: each is busy with one operation at a time, some answers get lost. */
function honestHistory(seed: number, lostShare: number): Attempt[] {
  const [count, clients, keys] = [2000, 10, 20];
  const random = seeded(seed);
  const pick = (below: number): number => Math.floor(random() * below);
  const freeAt = Array.from({ length: clients }, () => random());
  const plans = Array.from({ length: count }, (_, nth) => {
    const client = nth % clients;
    const invokedAt = (freeAt[client] ?? 0) + random();
    const returnedAt = invokedAt + 5 * random();
    freeAt[client] = returnedAt;
    return { nth, client, key: `k${String(pick(keys))}`, invokedAt, returnedAt, doneAt: invokedAt + (returnedAt - invokedAt) * random() };
  });
  const store = new Map<string, { value: string; uid: number }>();
  let lastUid = 0;
  const history = plans
    .sort((a, b) => a.doneAt - b.doneAt)
    .map(({ nth, client, key, invokedAt, returnedAt }): Attempt => {
      const base = { client: `c${String(client)}`, key, invokedAt, returnedAt };
      const entry = store.get(key);
      const dice = random();
      if (dice < 0.4)
        return { ...base, op: { kind: 'read' }, result: { kind: 'value', value: entry?.value ?? null, ...(entry && { uid: entry.uid }) } };
      const guess = dice < 0.6 ? { condition: { uid: random() < 0.7 ? (entry?.uid ?? 0) : lastUid } } : {};
      const op: KeyOperation = dice > 0.95 ? { kind: 'delete', ...guess } : { kind: 'put', value: String(nth), ...guess };
      const happens = guess.condition === undefined || guess.condition.uid === (entry?.uid ?? 0);
      const isLost = random() < lostShare;
      if (!happens) return { ...base, op, result: { kind: isLost ? 'unknown' : 'conflict' } };
      if (isLost && random() < 0.5) return { ...base, op, result: { kind: 'unknown' } };
      lastUid += 1;
      if (op.kind === 'put') store.set(key, { value: op.value, uid: lastUid });
      else store.delete(key);
      return { ...base, op, result: isLost ? { kind: 'unknown' } : { kind: 'written', uid: lastUid } };
    });
  return history;
}

test.each([
  [1, 0.15],
  [2, 0.15],
  [3, 0.5],
  [4, 0.5],
  [5, 0.9],
])(
  'decides 2,000 operations of 10 clients on 20 keys in two steps for each at most (seed %i, share of lost answers %d)',
  (seed, lostShare) => {
    const verdict = checkLinearizable(honestHistory(seed, lostShare));
    expect(verdict).toMatchObject({ kind: 'linearizable' });
    expect(verdict.kind === 'linearizable' && verdict.steps).toBeLessThan(4000);
  },
);

test.each([1, 2, 3, 4, 5])('finds the one stale read among 2,000 operations (seed %i)', (seed) => {
  const history = honestHistory(seed, 0.15);
  const victim = history.findLastIndex(({ result: told }) => told.kind === 'value' && told.value !== null);
  const key = history[victim]?.key;
  const older = history.find(
    (each) => each.key === key && each.result.kind === 'written' && each.op.kind === 'put' && each.op.condition === undefined,
  );
  if (older?.op.kind !== 'put') throw new Error('no older value');
  const stale: Result = { kind: 'value', value: older.op.value };
  const broken = history.map((each, nth) => (nth === victim ? { ...each, result: stale } : each));
  expect(checkLinearizable(broken)).toMatchObject({ kind: 'violation', key });
});
