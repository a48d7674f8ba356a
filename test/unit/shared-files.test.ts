// What both programs write for each other: failover.csv (K5) and the annotations with the start round and the member reports.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatFailover, parseFailover } from '../../common/failover.ts';
import { memberReportSchema, parseAnnotation, startRoundSchema, type StartRound } from '../../common/report.ts';
import { epoch, hash } from '../lib/arbitrary-log.ts';

const host = fc.string({ minLength: 1, maxLength: 60, unit: fc.constantFrom('a', 'z', 'A', 'Z', '0', '9', '.', '-') });
const entries = fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }), { maxLength: 64 });

describe('failover.csv', () => {
  test('is read as it was written, with blanks, empty lines and either end of line', () => {
    fc.assert(
      fc.property(entries, fc.constantFrom('\n', '\r\n'), fc.boolean(), (each, end, isLoose) => {
        const text = formatFailover(each).replaceAll('\n', isLoose ? `${end}${end}` : end);
        expect(parseFailover(isLoose ? ` ${text.replaceAll(',', ' , ')} ` : text)).toEqual(each);
      }),
    );
  });

  test.each([
    ['no port', 'a\n', 1],
    ['port 0', 'a,0\n', 1],
    ['a port beyond 65535', 'a,65536\n', 1],
    ['a port that is no number', 'a,5000\nb,x\n', 2],
    ['a third field', 'a,1,2\n', 1],
    ['a host that is none', 'a b,1\n', 1],
    ['no host', ',1\n', 1],
    ['a bad line after empty ones', '\n\na,1\n\nb\n', 5],
  ])('is refused with the line that has %s', (_, text, line) => {
    expect(() => parseFailover(text)).toThrow(new RegExp(`line ${String(line)} `));
  });

  test('is refused over 64 lines (I10)', () => {
    expect(() => parseFailover('a,1\n'.repeat(65))).toThrow(/65 lines, the limit is 64/);
  });
});

const name = fc.string({ maxLength: 40 });
const round: fc.Arbitrary<StartRound> = fc.record({
  version: fc.constant(1 as const),
  number: fc.integer({ min: 1 }),
  clusterId: name,
  generation: fc.nat(),
  designated: name,
  claim: fc.constantFrom('elected' as const, 'recovery' as const, 'forced' as const),
  configuration: fc.constant([{ pod: 'm-0', incarnation: 'disk' }]),
  counted: fc.array(fc.record({ pod: name, session: name }), { maxLength: 7 }),
  highWaterMark: fc.option(fc.record({ epoch, uid: fc.maxSafeNat(), index: fc.maxSafeNat(), hash })),
  openedAt: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-01-01') }).map((at) => at.toISOString()),
});

describe('the annotation of a start round', () => {
  test('is read as it was written, what a later version adds left aside', () => {
    fc.assert(
      fc.property(round, (each) => {
        expect(parseAnnotation(startRoundSchema, JSON.stringify({ ...each, later: 1 }))).toEqual(each);
        expect(parseAnnotation(memberReportSchema, JSON.stringify(each))).toBeNull();
      }),
    );
  });

  test('is nothing when it lacks a field or a field is of another form', () => {
    fc.assert(
      fc.property(round, fc.nat(), (each, nth) => {
        const fields = Object.keys(each);
        const field = fields[nth % fields.length] ?? '';
        const { [field]: _gone, ...rest } = each as Record<string, unknown>;
        for (const broken of [rest, { ...each, [field]: { not: 'so' } }])
          expect(parseAnnotation(startRoundSchema, JSON.stringify(broken))).toBeNull();
      }),
    );
  });

  test('is nothing when there is none, or it is longer than the limit (I10)', () => {
    expect(parseAnnotation(startRoundSchema, undefined)).toBeNull();
    const [each] = fc.sample(round, 1);
    expect(parseAnnotation(startRoundSchema, JSON.stringify(each).padEnd(16_384))).toEqual(each);
    expect(parseAnnotation(startRoundSchema, JSON.stringify(each).padEnd(16_385))).toBeNull();
  });
});
