// The codec of frames and the hash chain: round trips, and bytes from strangers.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeFrame, encodeFrame, lastUid, limits } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { frameBody } from '../lib/arbitrary-log.ts';
import { frameAfter, framesAfter, put } from '../lib/sample-frames.ts';

describe('a frame', () => {
  test('is what it was after encoding and decoding', () => {
    fc.assert(
      fc.property(frameBody, (each) => {
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

  test('has a hash of its own: two frames that differ in anything, the one before them included, differ in it (I1)', () => {
    fc.assert(
      fc.property(frameBody, frameBody, (one, other) => {
        const [a, b] = [encodeFrame(one, sha256), encodeFrame(other, sha256)];
        expect(a.hash === b.hash).toBe(Buffer.compare(a.bytes, b.bytes) === 0);
        const moved = encodeFrame({ ...one, prevHash: a.hash }, sha256);
        expect(moved.hash).not.toBe(a.hash);
      }),
    );
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
    ['a frame that is acknowledged before it is made', { ...frameAfter(null, []), acknowledgedIndex: 1 }, /acknowledgedIndex/],
    ['an index of 0', { ...frameAfter(null, []), index: 0 }, /index/],
  ])('are refused: %s', (_, { bytes: _bytes, hash: _hash, ...broken }, sentence) => {
    const decoded = decodeFrame(encodeFrame(broken, sha256).bytes, sha256);
    expect('error' in decoded && decoded.error).toMatch(sentence);
  });

  test('are refused over the limit before they are parsed (I10)', () => {
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
