// Anything that the forms of the core allow: epochs, positions, changes, frames. For property tests.
// A frame made here stands alone; logs, whose frames continue each other, are made by `sample-frames.ts`.
import fc from 'fast-check';
import type { Epoch, Position } from '../../common/position.ts';
import { changeSchema, type Change, type FrameBody } from '../../sidecar/core/frame.ts';

export const hash = fc.string({ minLength: 64, maxLength: 64, unit: fc.integer({ min: 0, max: 15 }).map((digit) => digit.toString(16)) });
const hashOrNone = fc.option(hash, { nil: '' });

export const epoch: fc.Arbitrary<Epoch> = fc.record({
  generation: fc.maxSafeNat(),
  number: fc.maxSafeNat(),
  nonce: fc.string({ maxLength: 32 }),
});
export const position: fc.Arbitrary<Position> = fc.record({ epoch, uid: fc.maxSafeNat(), index: fc.maxSafeNat(), hash: hashOrNone });

// As a change looks once it has come in as JSON.
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as never);
const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
const operation = fc.oneof(
  fc.record({ put: fc.record({ key: name, value: json }) }),
  fc.record({ delete: fc.record({ key: name }) }),
  fc.record({ append: fc.record({ topic: name, value: json }) }),
);
const precondition = fc.record({ key: name, exists: fc.boolean(), uid: fc.nat(), value: json }, { requiredKeys: ['key'] });
export const change: fc.Arbitrary<Change> = fc
  .record(
    {
      operations: fc.array(operation, { minLength: 1, maxLength: 4 }),
      preconditions: fc.array(precondition, { maxLength: 3 }),
      idempotencyKey: name,
    },
    { requiredKeys: ['operations'] },
  )
  // What cannot come in cannot be in a frame.
  .map((each) => changeSchema.parse(each));

const configuration = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 7 })
  .map((pods) => pods.map((pod, at) => ({ pod, incarnation: `disk ${String(at)}` })));
const content = fc.oneof(
  fc.record({ kind: fc.constant('data' as const), changes: fc.array(change, { minLength: 1, maxLength: 3 }) }),
  fc.record(
    { kind: fc.constant('claim' as const), changes: fc.constant<Change[]>([]), configuration },
    { requiredKeys: ['kind', 'changes'] },
  ),
  fc.record({ kind: fc.constant('configuration' as const), changes: fc.constant<Change[]>([]), configuration }),
);
const place = fc
  .record({
    version: fc.constant(1 as const),
    clusterId: fc.string({ maxLength: 40 }),
    epoch,
    index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    firstUid: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    prevHash: hashOrNone,
    timeMs: fc.maxSafeNat(),
    acknowledgedIndex: fc.maxSafeNat(),
  })
  .map((each) => ({ ...each, acknowledgedIndex: each.acknowledgedIndex % each.index }));
export const frameBody: fc.Arbitrary<FrameBody> = fc.tuple(place, content).map(([where, what]) => ({ ...where, ...what }));
