// Every decoder of input from outside against bytes that nobody meant for it: random, of its own form with faults in it, or claiming to be huge.
// It returns or refuses as it documents; it neither crashes nor allocates by what the bytes claim. Where a form has offsets or fields, the refusal names one.
import { PassThrough, Readable } from 'node:stream';
import { text as streamText } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isAppError } from '../../common/errors.ts';
import { formatFailover, parseFailover } from '../../common/failover.ts';
import { memberReportSchema, parseAnnotation, startRoundSchema } from '../../common/report.ts';
import { decodeFrame } from '../../sidecar/core/frame.ts';
import * as message from '../../sidecar/core/message.ts';
import { defaultBounds } from '../../sidecar/http/bounds.ts';
import { BulkExchange } from '../../sidecar/http/bulk.ts';
import { parseChange, parseJson } from '../../sidecar/http/parse.ts';
import { listTails } from '../../sidecar/journal/archive.ts';
import { replaceFile } from '../../sidecar/journal/disk.ts';
import { decodeHardState } from '../../sidecar/journal/hard-state-file.ts';
import { decodeRecord, encodeRecords } from '../../sidecar/journal/record.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from '../../sidecar/journal/segment.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { leaseSchema, toRecord } from '../../sidecar/kube/leader-lease.ts';
import { parseDelivery, parsePublishAnswer } from '../../sidecar/stream/server-answer.ts';
import { emptyPosition } from '../../common/position.ts';
import { damaged } from '../lib/damaged-bytes.ts';
import { frameAfter, put } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const jsonOf = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
};

const frame = frameAfter(frameAfter(null, []), [put('key', 'value'), put('other', 'é😀')]);
const record = encodeRecords([frame], 1).bytes;
const { epoch } = frame;
const round = {
  version: 1,
  number: 3,
  clusterId: 'c',
  generation: 0,
  designated: 'm-0',
  claim: 'elected',
  configuration: [{ pod: 'm-0', incarnation: 'i' }],
  counted: [{ pod: 'm-0', session: 's' }],
  highWaterMark: { epoch, uid: 2, index: 2, hash: frame.hash },
  openedAt: '2026-01-01T00:00:00Z',
};
const report = {
  version: 1,
  pod: 'm-0',
  podUid: 'u',
  session: 's',
  role: 'member',
  incarnation: 'i',
  voter: true,
  configurations: [[{ pod: 'm-0', incarnation: 'i' }]],
  phase: 'Waiting',
  clusterId: null,
  promise: epoch,
  position: emptyPosition,
  acknowledged: null,
  eligible: false,
  leader: null,
  lag: 0,
  address: 'm-0:5000',
  sidecarVersion: '1',
};
const lease = {
  metadata: { resourceVersion: '17', annotations: { 'controlcluster.io/round': JSON.stringify(round) } },
  spec: { holderIdentity: 'm-0_u_s', leaseDurationSeconds: 6, leaseTransitions: 1 },
};
const promiseLine = JSON.stringify({ version: 1, promise: epoch, incarnation: 'i', session: 's', recordedSession: '' });
const heartbeat = {
  kind: 'heartbeat',
  from: 'm-0',
  clusterId: 'c',
  epoch,
  opened: true,
  round: 4,
  position: emptyPosition,
  acknowledged: emptyPosition,
  baseIndex: 0,
};

/** So that what is behind the checksum is reached. */
function checked(bytes: Uint8Array, from: number, to: number, at: number): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= at + 4) copy.writeUInt32BE(crc32(copy.subarray(from, to)), at);
  return copy;
}
const promiseOf = (line: Uint8Array | string): Buffer =>
  Buffer.concat([Buffer.from(line), Buffer.from(`\n${crc32(Buffer.from(line)).toString(16).padStart(8, '0')}\n`)]);

/** Sane, or an error; `decode` throws only what its decoder documents. */
interface Decoder {
  readonly name: string;
  readonly valid: Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}
const decoders: readonly Decoder[] = [
  { name: 'frame', valid: frame.bytes, decode: (bytes) => decodeFrame(bytes, sha256) },
  { name: 'message', valid: json(heartbeat), decode: message.decodeMessage },
  { name: 'request', valid: json({ kind: 'submit', change: put('a', '1') }), decode: message.decodeRequest },
  {
    name: 'answer to a change',
    valid: json({ kind: 'committed', uid: 1, epoch: 1, duplicate: false }),
    decode: message.decodeSubmitAnswer,
  },
  { name: 'answer to a read', valid: json({ kind: 'confirmed', uid: 1 }), decode: message.decodeReadAnswer },
  { name: 'answer to a locate', valid: json({ index: 1, hash: frame.hash }), decode: message.decodeLocated },
  { name: 'packed frames', valid: message.packFrames([frame.bytes, frame.bytes]), decode: message.unpackFrames },
  { name: 'record', valid: record, decode: (bytes) => decodeRecord(Buffer.from(bytes), 0, 0) },
  {
    name: 'segment header',
    valid: encodeSegmentHeader({ firstIndex: 7, precedingBytes: 900 }),
    decode: (bytes) => decodeSegmentHeader(Buffer.from(bytes), 'file'),
  },
  {
    name: 'segment header whose checksum holds',
    valid: encodeSegmentHeader({ firstIndex: 7, precedingBytes: 900 }),
    decode: (bytes) => decodeSegmentHeader(checked(bytes, 0, 28, 28), 'file'),
  },
  { name: 'record whose checksum holds', valid: record, decode: (bytes) => decodeRecord(checked(bytes, 8, bytes.length, 4), 0, 0) },
  { name: 'promise', valid: promiseOf(promiseLine), decode: (bytes) => decodeHardState(Buffer.from(bytes), 'file') },
  { name: 'promise whose checksum holds', valid: Buffer.from(promiseLine), decode: (bytes) => decodeHardState(promiseOf(bytes), 'file') },
  { name: 'start round', valid: json(round), decode: (bytes) => parseAnnotation(startRoundSchema, text(bytes)) },
  { name: 'member report', valid: json(report), decode: (bytes) => parseAnnotation(memberReportSchema, text(bytes)) },
  {
    name: 'failover.csv',
    valid: Buffer.from(formatFailover([{ host: 'm-0.x', port: 5000 }])),
    decode: (bytes) => parseFailover(text(bytes)),
  },
  {
    name: 'change of the Process API',
    valid: json(put('a', '1')),
    decode: (bytes) => parseChange(parseJson(Buffer.from(bytes), defaultBounds.nestingDepth)),
  },
  { name: 'answer to a publish', valid: json({ stream: 'S', seq: 2 }), decode: (bytes) => parsePublishAnswer(bytes, 'S') },
  { name: 'delivery', valid: Buffer.from('$JS.ACK.S.C.1.2.3.4.5'), decode: (bytes) => parseDelivery(text(bytes)) },
  {
    name: 'Lease',
    valid: json(lease),
    decode: (bytes) => {
      const parsed = leaseSchema.safeParse(jsonOf(bytes));
      return parsed.success ? toRecord(parsed.data, 6000) : null;
    },
  },
];

/** What a decoder returns, or the error that it documents. */
function outcomeOf({ decode }: Decoder, bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    if (isAppError(error) || (error instanceof RangeError && error.message.startsWith('failover.csv'))) return error;
    throw error;
  }
}

const mebibyte = 1024 * 1024;

describe.each(decoders.map((decoder) => [decoder.name, decoder] as const))('the decoder of a %s', (_, decoder) => {
  test('throws nothing but what it documents, whatever the bytes', () => {
    fc.assert(
      fc.property(damaged(decoder.valid), (bytes) => {
        outcomeOf(decoder, bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('allocates by what there is, not by what it claims (I10)', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let at = 0; at < Math.min(decoder.valid.length, 80); at += 1) {
      for (const claim of [
        [0xff, 0xff, 0xff, 0xff],
        [0x7f, 0xff, 0xff, 0xff],
        [0x39, 0x39, 0x39, 0x39],
      ]) {
        const bytes = Uint8Array.from(decoder.valid);
        bytes.set(claim.slice(0, bytes.length - at), at);
        outcomeOf(decoder, bytes);
      }
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * mebibyte);
  });
});

describe('a refusal says where', () => {
  test('of a frame: the field', () => {
    const { bytes: _bytes, hash: _hash, ...body } = frame;
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(body)), (field) => {
        const decoded = decodeFrame(json({ ...body, [field]: { not: 'so' } }), sha256);
        expect(decoded).toMatchObject({ error: expect.stringContaining(` ${field}`) as unknown });
      }),
    );
  });

  test('of a record, a segment header and a promise: the offset', () => {
    fc.assert(
      fc.property(damaged(record), damaged(encodeSegmentHeader({ firstIndex: 1, precedingBytes: 0 })), (one, other) => {
        const decoded = decodeRecord(Buffer.from(one), 0, 4711);
        if ('error' in decoded) expect(decoded.error).toContain('offset 4711');
        for (const decode of [decodeSegmentHeader, decodeHardState]) {
          try {
            decode(Buffer.from(other), 'file');
          } catch (error) {
            expect(String(error)).toMatch(/file (at offset 0|has format version)/);
          }
        }
      }),
    );
  });
});

test('what is taken for a Lease has a duration that time can pass', () => {
  const duration = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(1e300, -5, 0, null, 0.001));
  fc.assert(
    fc.property(duration, (leaseDurationSeconds) => {
      const parsed = leaseSchema.safeParse({ ...lease, spec: { ...lease.spec, leaseDurationSeconds } });
      if (!parsed.success) return;
      const { leaseDurationMs } = toRecord(parsed.data, 6000);
      expect(leaseDurationMs).toBeGreaterThan(0);
      expect(leaseDurationMs).toBeLessThan(2 ** 31 * 1000);
    }),
  );
});

test('lines of a bulk exchange come out as they stand in the body, however it is cut, and a line over the limit ends it (I10)', async () => {
  const body = fc.oneof(
    fc
      .array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })
      .map((lines) => Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))),
    damaged(Buffer.from('{"operations":[]}\n\n{"a":1}\r\nlast')).map((bytes) => Buffer.from(bytes)),
  );
  const bounds = { ...defaultBounds, bodyBytes: 64, bulkWindow: 3, bulkWindowBytes: 100 };
  await fc.assert(
    fc.asyncProperty(body, fc.integer({ min: 1, max: 50 }), async (bytes, size) => {
      const source = new Readable({ read: () => undefined });
      for (let at = 0; at < bytes.length; at += size) source.push(bytes.subarray(at, at + size));
      source.push(null);
      const sink = new PassThrough();
      new BulkExchange({
        source,
        sink,
        bounds,
        submit: (line) => Promise.resolve(line.toString('hex')),
        refuse: (error) => (isAppError(error) ? error.code : 'defect'),
      });
      const lines = bytes.toString('latin1').split('\n');
      const tooLong = lines.findIndex((line) => line.length > bounds.bodyBytes);
      const expected = (tooLong === -1 ? lines : lines.slice(0, tooLong))
        .filter((line) => line !== '')
        .map((line) => Buffer.from(line, 'latin1').toString('hex'));
      const answers = (await streamText(sink)).split('\n').slice(0, -1);
      expect(answers).toEqual(tooLong === -1 ? expected : [...expected, 'body_too_large']);
    }),
    { numRuns: 200 },
  );
});

describe('the sums in the archive', () => {
  const name = 'diverged-0.1-3-4-0123abcd.ndjson';
  const sum = Buffer.from(`${frame.hash}  ${name}\n`);
  const listed = async (fileName: string, content: Uint8Array): Promise<{ found: unknown[]; warnings: unknown[] }> => {
    const disk = new VolatileDisk();
    await disk.makeDirectory('/a');
    await replaceFile(disk, '/a', fileName, [Buffer.from('{}\n')]);
    await replaceFile(disk, '/a', `${fileName}.sha256`, [content]);
    const warnings: unknown[] = [];
    return { found: await listTails(disk, '/a', { warn: (fields: unknown) => warnings.push(fields) }), warnings };
  };

  test('list an archive in their form only; in any other it is left out and told by its name', async () => {
    expect((await listed(name, sum)).found).toEqual([
      { kind: 'diverged', id: name.slice(0, -7), firstUid: 3, lastUid: 4, changes: 2, sha256: frame.hash },
    ]);
    await fc.assert(
      fc.asyncProperty(damaged(sum), async (content) => {
        const { found, warnings } = await listed(name, content);
        const isWhole = /^[0-9a-f]{64} {2}diverged-0\.1-3-4-0123abcd\.ndjson\n$/.test(text(content));
        expect([found.length, warnings.length]).toEqual(isWhole ? [1, 0] : [0, 1]);
      }),
      { numRuns: 60 },
    );
  });

  test('do not list an archive whose name has numbers beyond 53 bits', async () => {
    const long = `diverged-0.1-3-${'9'.repeat(17)}-0123abcd.ndjson`;
    expect(await listed(long, Buffer.from(`${frame.hash}  ${long}\n`))).toEqual({ found: [], warnings: [{ file: long }] });
  });
});
