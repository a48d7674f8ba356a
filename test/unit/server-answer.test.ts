// What the NATS server says, in the forms that it has, and near them.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDelivery, parsePublishAnswer, parseStoredAt } from '../../sidecar/stream/server-answer.ts';

const parse = (answer: unknown) => parsePublishAnswer(Buffer.from(JSON.stringify(answer)), 'S');

describe('the answer to a publish', () => {
  test('is an acknowledgement of our own stream, or a refusal with its code', () => {
    expect(parse({ stream: 'S', seq: 7 })).toEqual({ kind: 'stored', seq: 7 });
    expect(parse({ error: { code: 400, err_code: 10071, description: 'wrong last sequence: 4' }, stream: 'S', seq: 0 })).toEqual({
      kind: 'refused',
      code: 10071,
      description: 'wrong last sequence: 4',
    });
    expect(parse({ error: {} })).toEqual({ kind: 'refused', code: 0, description: '' });
  });

  test.each([
    ['of another stream', { stream: 'T', seq: 7 }],
    ['of no stream', { seq: 7 }],
    ['without a sequence', { stream: 'S' }],
    ['with sequence 0', { stream: 'S', seq: 0 }],
    ['with a sequence that is not whole', { stream: 'S', seq: 7.5 }],
    ['with a sequence below 0', { stream: 'S', seq: -7 }],
    ['with a sequence beyond 53 bits', { stream: 'S', seq: 2 ** 53 }],
    ['with a sequence as text', { stream: 'S', seq: '7' }],
    ['that is no object', 7],
  ])('proves nothing when it is one %s', (_, answer) => {
    expect(parse(answer)).toBeNull();
  });
});

describe('the subject of a delivery', () => {
  const sequence = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

  test('tells the sequences in each of its forms', () => {
    fc.assert(
      fc.property(sequence, sequence, (streamSeq, consumerSeq) => {
        const end = `S.C.1.${String(streamSeq)}.${String(consumerSeq)}.1700000000000000000.5`;
        for (const subject of [`$JS.ACK.${end}`, `$JS.ACK._.account.${end}`, `$JS.ACK.hub.account.${end}.token`])
          expect(parseDelivery(subject)).toEqual({ streamSeq, consumerSeq, storedAt: '1700000000000000000' });
      }),
    );
  });

  test.each([
    '',
    '$JS.ACK.S.C.1.x.1.0.0',
    '$JS.ACK.S.C.1.1.-1.0.0',
    '$JS.ACK.S.C.1.1e3.1.0.0',
    '$JS.ACK.S.C.1.1.0.0.0',
    '$JS.ACK.S.C.1.9007199254740993.1.0.0',
    '$JS.ACK.S.C.1.1.1.-1.0',
  ])('is none when it is %j', (subject) => {
    expect(parseDelivery(subject)).toBeNull();
  });
});

describe('the time of a stored message', () => {
  test.each([
    ['2026-11-25T10:00:00Z', '1795600800000000000'],
    ['2026-11-25T10:00:00.1Z', '1795600800100000000'],
    ['2026-11-25T10:00:00.123456789Z', '1795600800123456789'],
  ])('of %s is %s, as in a delivery', (time, storedAt) => {
    expect(parseStoredAt(time)).toBe(storedAt);
  });

  test.each([
    '',
    '2026-11-25',
    '2026-11-25T10:00:00+01:00',
    '2026-13-25T10:00:00Z',
    '2026-11-25T10:00:00.1234567890Z',
    '0000-01-01T00:00:00Z',
  ])('is none when it is %j', (time) => {
    expect(parseStoredAt(time)).toBeNull();
  });
});
