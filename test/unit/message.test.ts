// What members say to each other: every form comes back as it was, and anything beside a form is dropped.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decodeMessage,
  decodeReadAnswer,
  decodeRequest,
  decodeSubmitAnswer,
  encodeJson,
  packFrames,
  unpackFrames,
  type Message,
} from '../../sidecar/core/message.ts';
import { change, epoch, position } from '../lib/arbitrary-log.ts';

const pod = fc.string({ minLength: 1, maxLength: 253 });
const clusterId = fc.string({ maxLength: 253 });
const count = fc.maxSafeNat();
const disk = fc.string({ maxLength: 32 });
const sent = { from: pod, clusterId, epoch, position };
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('voteRequest' as const), ...sent }),
  fc.record({ kind: fc.constant('voteAnswer' as const), ...sent, incarnation: disk, granted: fc.boolean(), promise: epoch }),
  fc.record({
    kind: fc.constant('heartbeat' as const),
    ...sent,
    opened: fc.boolean(),
    round: count,
    acknowledged: position,
    baseIndex: count,
  }),
  fc.record({
    kind: fc.constant('report' as const),
    from: pod,
    clusterId,
    identity: fc.string({ maxLength: 512 }),
    incarnation: disk,
    baseIndex: count,
    promise: epoch,
    position,
    eligible: fc.boolean(),
    synced: fc.boolean(),
    round: count,
  }),
  fc.record({ kind: fc.constant('handOver' as const), from: pod, clusterId, to: pod, epoch }),
);
const request = fc.oneof(
  fc.record({ kind: fc.constant('submit' as const), change }),
  fc.constant({ kind: 'readUid' as const }),
  fc.record({ kind: fc.constant('locate' as const), index: count }),
  fc.record({ kind: fc.constant('frames' as const), fromIndex: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) }),
);

describe('a message', () => {
  test('is what it was after encoding and decoding', () => {
    fc.assert(
      fc.property(message, (each) => {
        expect(decodeMessage(encodeJson(each))).toEqual(each);
        expect(decodeRequest(encodeJson(each))).toBeNull();
      }),
    );
  });

  test('is dropped when a field is missing, is of another kind, or is one too many', () => {
    fc.assert(
      fc.property(message, fc.nat(), (each, nth) => {
        const fields = Object.keys(each);
        const field = fields[nth % fields.length] ?? '';
        const { [field]: _gone, ...rest } = each as Record<string, unknown>;
        for (const broken of [rest, { ...each, [field]: [1] }, { ...each, extra: 1 }]) expect(decodeMessage(encodeJson(broken))).toBeNull();
      }),
    );
  });

  test.each([
    ['a name over the limit', { from: 'x'.repeat(254) }],
    ['a cluster id over the limit', { clusterId: 'x'.repeat(254) }],
    ['a nonce over the limit', { epoch: { generation: 0, number: 1, nonce: 'x'.repeat(33) } }],
    ['a number that is not whole', { epoch: { generation: 0, number: 1.5, nonce: '' } }],
    ['a number below 0', { epoch: { generation: -1, number: 1, nonce: '' } }],
    ['a number beyond 53 bits', { epoch: { generation: 0, number: 2 ** 53, nonce: '' } }],
  ])('is dropped with %s (I10)', (_, field) => {
    const handOver = { kind: 'handOver', from: 'a', clusterId: '', to: 'b', epoch: { generation: 0, number: 1, nonce: '' } };
    expect(decodeMessage(encodeJson(handOver))).toEqual(handOver);
    expect(decodeMessage(encodeJson({ ...handOver, ...field }))).toBeNull();
  });
});

describe('a request', () => {
  test('is what it was after encoding and decoding', () => {
    fc.assert(
      fc.property(request, (each) => {
        expect(decodeRequest(encodeJson(each))).toEqual(each);
        expect(decodeMessage(encodeJson(each))).toBeNull();
      }),
    );
  });
});

describe('an answer', () => {
  const refusal = { kind: 'refused', code: 'queue_full', detail: 'so' };
  test('is taken in its form and in no other', () => {
    const committed = { kind: 'committed', uid: 3, epoch: 1, duplicate: false };
    const confirmed = { kind: 'confirmed', uid: 3 };
    expect(decodeSubmitAnswer(encodeJson(committed))).toEqual(committed);
    expect(decodeReadAnswer(encodeJson(confirmed))).toEqual(confirmed);
    expect([decodeSubmitAnswer(encodeJson(refusal)), decodeReadAnswer(encodeJson(refusal))]).toEqual([refusal, refusal]);
    expect([decodeSubmitAnswer(encodeJson(confirmed)), decodeReadAnswer(encodeJson(committed))]).toEqual([null, null]);
    expect(decodeSubmitAnswer(encodeJson({ ...committed, uid: 0 }))).toBeNull();
    expect(decodeSubmitAnswer(encodeJson({ ...refusal, code: 'made up' }))).toBeNull();
  });
});

describe('packed frames', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 });

  test('come out as they went in', () => {
    fc.assert(
      fc.property(frames, (each) => {
        expect(unpackFrames(packFrames(each))).toEqual(each);
      }),
    );
  });

  test('are read from a view that does not begin where its buffer does', () => {
    fc.assert(
      fc.property(frames, fc.nat({ max: 9 }), (each, at) => {
        const packed = packFrames(each);
        const buffer = new Uint8Array(at + packed.length + 3).fill(255);
        buffer.set(packed, at);
        expect(unpackFrames(buffer.subarray(at, at + packed.length))).toEqual(each);
      }),
    );
  });

  test('are refused when a length runs over the end', () => {
    fc.assert(
      fc.property(frames, fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat({ max: 19 }), (each, last, missing) => {
        const packed = packFrames([...each, last]);
        expect(unpackFrames(packed.subarray(0, packed.length - 1 - (missing % last.length)))).toBeNull();
      }),
    );
    expect(unpackFrames(Uint8Array.of(255, 255, 255, 255, 1))).toBeNull();
  });
});
