// The codec of frames and the hash chain: round trips, and bytes from strangers.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { changeSchema, decodeFrame, encodeFrame, lastUid, limits, type Change, type FrameBody } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { frameAfter, framesAfter, put } from '../lib/sample-frames.ts';

// As a change looks once it has come in as JSON.
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as never);
const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
const operation = fc.oneof(
  fc.record({ put: fc.record({ key: name, value: json }) }),
  fc.record({ delete: fc.record({ key: name }) }),
  fc.record({ append: fc.record({ topic: name, value: json }) }),
);
const precondition = fc.record({ key: name, exists: fc.boolean(), uid: fc.nat(), value: json }, { requiredKeys: ['key'] });
const change: fc.Arbitrary<Change> = fc
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
const body: fc.Arbitrary<FrameBody> = fc.record({
  version: fc.constant(1 as const),
  kind: fc.constant('data' as const),
  clusterId: fc.string({ maxLength: 40 }),
  epoch: fc.record({ generation: fc.maxSafeNat(), number: fc.maxSafeNat(), nonce: fc.string({ maxLength: 32 }) }),
  index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  firstUid: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  prevHash: fc.option(
    fc.string({ minLength: 64, maxLength: 64, unit: fc.integer({ min: 0, max: 15 }).map((digit) => digit.toString(16)) }),
    { nil: '' },
  ),
  timeMs: fc.maxSafeNat(),
  acknowledgedIndex: fc.maxSafeNat(),
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
});

describe('a frame', () => {
  test('is what it was after encoding and decoding', () => {
    fc.assert(
      fc.property(body, (each) => {
        const frame = encodeFrame(each, sha256);
        expect(decodeFrame(frame.bytes, sha256)).toEqual(frame);
      }),
    );
  });

  test('has a hash over the one before it and its own bytes (I1)', () => {
    const frames = framesAfter(null, 5);
    frames.forEach((frame, at) => {
      expect(frame.prevHash).toBe(frames[at - 1]?.hash ?? '');
      expect(frame.hash).toBe(sha256(frame.prevHash + Buffer.from(frame.bytes).toString()));
    });
    const other = frameAfter(frames[2] ?? null, [put('another', 'change')]);
    expect(other.hash).not.toBe(frames[3]?.hash);
    expect(frameAfter(other, frames[4]?.changes ?? []).hash).not.toBe(frames[4]?.hash);
  });

  test('changes its hash with any byte', () => {
    const [frame] = framesAfter(null, 1);
    if (frame === undefined) throw new Error('no frame');
    fc.assert(
      fc.property(fc.nat({ max: frame.bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const bytes = frame.bytes.slice();
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        const decoded = decodeFrame(bytes, sha256);
        expect('error' in decoded || decoded.hash !== frame.hash).toBe(true);
      }),
    );
  });

  test('counts its changes from its first UID', () => {
    const claim = frameAfter(null, []);
    const data = frameAfter(claim, [put('a', '1'), put('b', '2')]);
    expect([lastUid(claim), data.firstUid, lastUid(data), frameAfter(data, []).firstUid]).toEqual([0, 1, 2, 3]);
  });
});

/** Bytes of a frame whose one value is this JSON text. */
const withValue = (text: string): Uint8Array =>
  Buffer.from(
    Buffer.from(frameAfter(null, [put('a', 'here')]).bytes)
      .toString()
      .replace('"here"', text),
  );

describe('bytes that are no frame', () => {
  test('are refused when a value is nested deeper than the limit (I10)', () => {
    const nested = (depth: number): Uint8Array => withValue('[{"a":'.repeat(depth / 2) + '1' + '}]'.repeat(depth / 2));
    expect(decodeFrame(nested(limits.valueDepth), sha256)).not.toHaveProperty('error');
    expect(decodeFrame(nested(limits.valueDepth + 2), sha256)).toHaveProperty('error');
  });

  test.each([
    ['a claim with changes', { ...frameAfter(null, [put('a', '1')]), kind: 'claim' as const }, /claim carries no changes/],
    ['data without changes', { ...frameAfter(null, []), kind: 'data' as const }, /data frame carries changes/],
    [
      'data with a configuration',
      { ...frameAfter(null, [put('a', '1')]), configuration: [{ pod: 'm-0', incarnation: 'i' }] },
      /no configuration/,
    ],
    ['a configuration frame without one', { ...frameAfter(null, []), kind: 'configuration' as const }, /carries one/],
    [
      'a configuration that names a pod twice',
      {
        ...frameAfter(null, []),
        configuration: [
          { pod: 'm-0', incarnation: 'i' },
          { pod: 'm-0', incarnation: 'j' },
        ],
      },
      /names a pod twice/,
    ],
    ['an index of 0', { ...frameAfter(null, []), index: 0 }, /index/],
  ])('are refused: %s', (_, { bytes: _bytes, hash: _hash, ...broken }, sentence) => {
    const decoded = decodeFrame(encodeFrame(broken, sha256).bytes, sha256);
    expect('error' in decoded && decoded.error).toMatch(sentence);
  });

  test('are refused over the limit before they are parsed', () => {
    const decoded = decodeFrame(new Uint8Array(limits.frameBytes + 1), sha256);
    expect('error' in decoded && decoded.error).toMatch(/limit/);
  });

  test('are refused, not thrown at the caller, whatever they are', () => {
    const nested = withValue('['.repeat(200_000) + ']'.repeat(200_000));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }),
          fc.json().map((text) => Buffer.from(text)),
          fc.constant(nested),
        ),
        (bytes) => {
          expect(decodeFrame(bytes, sha256)).toHaveProperty('error');
        },
      ),
    );
  });
});
