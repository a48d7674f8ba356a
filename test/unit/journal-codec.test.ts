// The codecs of what stands on the disk: records, segment headers, the promise. What was written comes back, and nothing else is taken for it.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeFrame } from '../../sidecar/core/frame.ts';
import { decodeHardState, writeHardState } from '../../sidecar/journal/hard-state-file.ts';
import { decodeRecord, encodeRecords, recordSize } from '../../sidecar/journal/record.ts';
import { decodeSegmentHeader, encodeSegmentHeader, firstIndexOf, segmentName } from '../../sidecar/journal/segment.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { epoch, frameBody } from '../lib/arbitrary-log.ts';
import { promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';

const count = fc.maxSafeNat();

describe('a record', () => {
  test('is what it was after encoding and decoding, wherever it stands', () => {
    fc.assert(
      fc.property(frameBody, count, fc.nat({ max: 50 }), (body, durableIndex, at) => {
        const frame = encodeFrame(body, sha256);
        const size = recordSize(frame);
        const buffer = Buffer.alloc(at + size + 7, 0xee);
        const encoded = encodeRecords([frame], durableIndex);
        buffer.set(encoded.bytes, at);
        const [checksum] = encoded.checksums;
        const decoded = decodeRecord(buffer, at, 0);
        expect(decoded).toMatchObject({ kind: 'record', size, checksum, durableIndex, hash: frame.hash });
        expect('frameBytes' in decoded && Buffer.compare(decoded.frameBytes, frame.bytes)).toBe(0);
        expect([...buffer.subarray(0, at), ...buffer.subarray(at + size)].every((byte) => byte === 0xee)).toBe(true);
      }),
    );
  });

  test('that ends too early is incomplete, and one with any bit changed is no record', () => {
    fc.assert(
      fc.property(frameBody, fc.nat(), fc.nat({ max: 7 }), (body, nth, bit) => {
        const frame = encodeFrame(body, sha256);
        const buffer = encodeRecords([frame], 0).bytes;
        const at = nth % buffer.length;
        expect(decodeRecord(buffer.subarray(0, at), 0, 0).kind).toBe('incomplete');
        buffer[at] = (buffer[at] ?? 0) ^ (1 << bit);
        expect(decodeRecord(buffer, 0, 0).kind).not.toBe('record');
      }),
    );
  });
});

describe('a segment', () => {
  test('has a header that is what it was, and no other byte in it goes unseen', () => {
    fc.assert(
      fc.property(count, count, fc.nat({ max: 31 }), fc.integer({ min: 1, max: 255 }), (firstIndex, precedingBytes, at, mask) => {
        const header = encodeSegmentHeader({ firstIndex, precedingBytes });
        expect(decodeSegmentHeader(header, 'file')).toEqual({ firstIndex, precedingBytes });
        header[at] = (header[at] ?? 0) ^ mask;
        expect(() => decodeSegmentHeader(header, 'file')).toThrow(/: file /);
      }),
    );
  });

  test('has a name that says its first index, and sorts by it', () => {
    const index = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(index, index, (a, b) => {
        expect(firstIndexOf(segmentName(a))).toBe(a);
        expect(segmentName(a) < segmentName(b)).toBe(a < b);
      }),
    );
  });

  test.each(['1.segment', '0000000000000001.segment.rewind', '000000000000000x.segment', '9999999999999999.segment'])(
    'is not what is named %s',
    (name) => {
      expect(firstIndexOf(name)).toBeNull();
    },
  );
});

test('a promise is what it was, and no other byte in its file goes unseen', async () => {
  await fc.assert(
    fc.asyncProperty(epoch, fc.nat(), fc.integer({ min: 1, max: 255 }), async (promise, nth, mask) => {
      const disk = new VolatileDisk();
      await disk.makeDirectory('/d');
      await writeHardState(disk, '/d', promised(promise));
      const bytes = Buffer.from(disk.contentOf('/d/hard-state'));
      expect(decodeHardState(bytes, 'file')).toEqual(promised(promise));
      // The last byte is the end of the line, which nothing follows.
      const at = nth % (bytes.length - 1);
      bytes[at] = (bytes[at] ?? 0) ^ mask;
      expect(() => decodeHardState(bytes, 'file')).toThrow(/file at offset 0/);
    }),
  );
});
