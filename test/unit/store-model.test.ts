// Preconditions and idempotency keys against the simplest model there is: a list of the changes that were accepted, read from its beginning.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change, Frame, Precondition } from '../../sidecar/core/frame.ts';
import { Overlay, Store } from '../../sidecar/core/store.ts';
import { epochOf, frameAfter } from '../lib/sample-frames.ts';

const key = fc.constantFrom('a', 'b', 'c');
const value = fc.constantFrom<fc.JsonValue>(1, '1', null, [1, { x: 1, y: [] }], { y: [], x: 1 }, { x: 1 }).map((each) => each as never);
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ put: fc.record({ key, value }) }) },
  fc.record({ delete: fc.record({ key }) }),
  fc.record({ append: fc.record({ topic: key, value }) }),
);
const precondition = fc.record({ key, exists: fc.boolean(), uid: fc.nat({ max: 6 }), value }, { requiredKeys: ['key'] });
const change: fc.Arbitrary<Change> = fc.record(
  {
    operations: fc.array(operation, { minLength: 1, maxLength: 3 }),
    preconditions: fc.array(precondition, { maxLength: 2 }),
    idempotencyKey: fc.constantFrom('k1', 'k2', 'k3'),
  },
  { requiredKeys: ['operations'] },
);

interface Found {
  readonly value: unknown;
  readonly uid: number;
}
/** The key after these changes, whose UIDs begin at 1; null when it does not exist. */
function naiveGet(changes: readonly Change[], wanted: string): Found | null {
  let found: Found | null = null;
  for (const [at, { operations }] of changes.entries()) {
    for (const each of operations) {
      if ('put' in each && each.put.key === wanted) found = { value: each.put.value, uid: at + 1 };
      if ('delete' in each && each.delete.key === wanted) found = null;
    }
  }
  return found;
}
const sorted = (each: unknown): string =>
  JSON.stringify(each, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
function naiveHolds(changes: readonly Change[], wanted: Precondition): boolean {
  const entry = naiveGet(changes, wanted.key);
  if (wanted.exists !== undefined && wanted.exists !== (entry !== null)) return false;
  if (wanted.uid !== undefined && wanted.uid !== (entry === null ? 0 : entry.uid)) return false;
  return wanted.value === undefined || (entry !== null && sorted(entry.value) === sorted(wanted.value));
}
function naiveVerdict(changes: readonly Change[], asked: Change): string {
  const earlier = changes.findIndex(({ idempotencyKey }) => idempotencyKey !== undefined && idempotencyKey === asked.idempotencyKey);
  if (earlier !== -1) return `duplicate of ${String(earlier + 1)}`;
  return (asked.preconditions ?? []).every((each) => naiveHolds(changes, each)) ? `accepted ${String(changes.length + 1)}` : 'conflict';
}

const script = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('submit' as const), change }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'seal' as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('acknowledge' as const), frames: fc.nat({ max: 2 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'newLeader' as const }) },
  ),
  { maxLength: 25 },
);

test('a batch is judged change by change against the state as it will be, whatever of it is acknowledged (I8)', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(script, (steps) => {
      const store = new Store();
      let overlay = new Overlay(store, []);
      let sealed: Change[] = [];
      let batch: Change[] = [];
      let log: Frame[] = [];
      for (const step of steps) {
        if (step.kind === 'submit') {
          const all = [...sealed, ...batch];
          const verdict = overlay.judge(step.change, 1);
          const told =
            verdict.kind === 'accepted'
              ? `accepted ${String(verdict.uid)}`
              : verdict.kind === 'duplicate'
                ? `duplicate of ${String(verdict.receipt.uid)}`
                : 'conflict';
          expect(told).toBe(naiveVerdict(all, step.change));
          seen.add(verdict.kind);
          if (verdict.kind === 'accepted') batch.push(step.change);
        } else if (step.kind === 'acknowledge') {
          for (const frame of log.slice(store.index, store.index + step.frames)) store.apply(frame);
          overlay.release(store.index);
        } else if (batch.length > 0 || step.kind === 'newLeader') {
          const frame = frameAfter(log.at(-1) ?? null, batch, epochOf(1));
          log = [...log, frame];
          sealed = [...sealed, ...batch];
          batch = [];
          overlay.seal(frame.index);
          // Whoever leads next begins with the same log.
          if (step.kind === 'newLeader') overlay = new Overlay(store, log.slice(store.index));
        }
        const acknowledged = log.slice(0, store.index).flatMap(({ changes }) => changes);
        for (const each of ['a', 'b', 'c']) expect(store.get(each) ?? null).toEqual(naiveGet(acknowledged, each));
      }
    }),
    { numRuns: 400 },
  );
  expect([...seen].sort()).toEqual(['accepted', 'conflict', 'duplicate']);
});

test('a listing is the sorted keys with the prefix after the last one, up to the limit', () => {
  const name = fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('a', 'b', '/', 'é', '😀') });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.boolean()), { maxLength: 20 }),
      fc.oneof(fc.constant(''), name),
      fc.oneof(fc.constant(''), name),
      fc.integer({ min: 1, max: 5 }),
      (writes, prefix, after, limit) => {
        const store = new Store();
        let last: Frame | null = null;
        const keys = new Set<string>();
        for (const [each, isPut] of writes) {
          last = frameAfter(last, [{ operations: [isPut ? { put: { key: each, value: 1 } } : { delete: { key: each } }] }]);
          store.apply(last);
          if (isPut) keys.add(each);
          else keys.delete(each);
          const expected = [...keys]
            .filter((one) => one.startsWith(prefix) && one > after)
            .sort()
            .slice(0, limit);
          expect(store.list(prefix, limit, after).map(({ key: found }) => found)).toEqual(expected);
        }
      },
    ),
  );
});
