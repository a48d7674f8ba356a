// Schedules: which texts are one, and when the next time is, in UTC.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nextTimeMs, parseSchedule, scheduleForm } from '../../common/schedule.ts';

const next = (schedule: string, after: string): string | null => {
  const atMs = nextTimeMs(parseSchedule(schedule), Date.parse(after));
  return atMs === null ? null : new Date(atMs).toISOString().replace(':00.000Z', 'Z');
};

test.each([
  ['0 2 * * *', '2026-11-25T01:59:59Z', '2026-11-25T02:00Z'],
  ['0 2 * * *', '2026-11-25T02:00:00Z', '2026-11-26T02:00Z'],
  ['*/15 * * * *', '2026-11-25T10:46:00Z', '2026-11-25T11:00Z'],
  ['5,50 8-10 * * *', '2026-11-25T10:50:00Z', '2026-11-26T08:05Z'],
  ['0 22-4/3 * * *', '2026-11-25T22:00:00Z', '2026-11-26T01:00Z'],
  ['0 0 1 */3 *', '2026-11-25T00:00:00Z', '2027-01-01T00:00Z'],
  ['30 06 * * 1-5', '2026-11-27T06:30:00Z', '2026-11-30T06:30Z'],
  ['0 0 * * 7', '2026-11-25T00:00:00Z', '2026-11-29T00:00Z'],
  ['0 0 * * 0', '2026-11-25T00:00:00Z', '2026-11-29T00:00Z'],
  ['0 0 * * 5-7', '2026-11-28T00:00:00Z', '2026-11-29T00:00Z'],
  ['0 0 * * 0-7', '2026-11-25T00:00:00Z', '2026-11-26T00:00Z'],
  ['0 0 * * 6-1', '2026-11-29T00:00:00Z', '2026-11-30T00:00Z'],
  // The first of the month, or a Friday.
  ['0 0 1 * 5', '2026-11-25T00:00:00Z', '2026-11-27T00:00Z'],
  ['0 0 1 * 5', '2026-11-28T00:00:00Z', '2026-12-01T00:00Z'],
  // Uneven days that are a Monday: `*/2` restricts nothing by itself.
  ['0 0 */2 * 1', '2026-11-25T00:00:00Z', '2026-12-07T00:00Z'],
  ['0 0 29 2 *', '2026-11-25T00:00:00Z', '2028-02-29T00:00Z'],
  ['0 0 29 2 *', '2096-03-01T00:00:00Z', '2104-02-29T00:00Z'],
  ['0 0 30 2 *', '2026-11-25T00:00:00Z', null],
])('%s after %s is %s', (schedule, after, expected) => {
  expect(next(schedule, after)).toBe(expected);
});

test.each([
  '',
  '* * * *',
  '* * * * * *',
  '60 * * * *',
  '* 24 * * *',
  '* * 0 * *',
  '* * 32 * *',
  '* * * 13 *',
  '* * * * 8',
  '5/15 * * * *',
  '*/0 * * * *',
  '1- * * * *',
  '1, * * * *',
  '0  2 * * *',
  ' 0 2 * * *',
  '0 2 * * MON',
  '@daily',
  '0 2 * * *\n',
])('%j is none', (text) => {
  expect(scheduleForm.test(text)).toBe(false);
  expect(() => parseSchedule(text)).toThrow(RangeError);
});

describe('any schedule', () => {
  const field = (min: number, max: number) => {
    const number = fc.integer({ min, max });
    const part = fc.oneof(
      fc.constant('*'),
      fc.integer({ min: 1, max: 99 }).map((step) => `*/${String(step)}`),
      number.map(String),
      fc.tuple(number, number).map(([from, to]) => `${String(from)}-${String(to)}`),
      fc.tuple(number, number, fc.integer({ min: 1, max: 9 })).map(([from, to, step]) => `${String(from)}-${String(to)}/${String(step)}`),
    );
    return fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(','));
  };
  const schedules = fc.tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)).map((fields) => fields.join(' '));
  const times = fc.integer({ min: 0, max: 4_000_000_000_000 });

  test('has a next time that is one of its own, after the one asked for, and none in between', () => {
    fc.assert(
      fc.property(schedules, times, fc.double({ min: 0, max: 1, noNaN: true }), (text, afterMs, part) => {
        const schedule = parseSchedule(text);
        const atMs = nextTimeMs(schedule, afterMs);
        if (atMs === null) return;
        expect(atMs).toBeGreaterThan(afterMs);
        expect(atMs % 60_000).toBe(0);
        const at = new Date(atMs);
        expect(schedule.minutes).toContain(at.getUTCMinutes());
        expect(schedule.hours).toContain(at.getUTCHours());
        expect(schedule.isDue(at)).toBe(true);
        expect(nextTimeMs(schedule, Math.floor(afterMs + part * (atMs - 1 - afterMs)))).toBe(atMs);
      }),
    );
  });
});
