// Ages of Leases: by what this process saw change, on its own clock.
import { describe, expect, test } from '@jest/globals';
import { annotations } from '../../common/names.ts';
import { LeaseClock } from '../../operator/controller/lease-clock.ts';
import { kubeObject } from '../lib/observed-cluster.ts';

const lease = (spec: object, report = '') =>
  kubeObject('Lease', 'trading-0', { spec }, { annotations: { [annotations.report]: report, other: String(Math.random()) } });

describe('the lease clock', () => {
  function started() {
    let nowMs = 1_000;
    const clock = new LeaseClock(() => nowMs);
    return {
      clock,
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  }
  const first = { holderIdentity: 'a', renewTime: '2001-01-01T00:00:00.000000Z' };

  test('counts from the first sight, which proves nothing, whatever times the Lease names', () => {
    const { clock, pass } = started();
    clock.observe(lease(first));
    pass(700);
    expect(clock.age(lease(first))).toEqual({ ageMs: 700, proven: false });
  });

  test('starts again with each renewal or report', () => {
    const { clock, pass } = started();
    clock.observe(lease(first));
    pass(700);
    clock.observe(lease({ ...first, renewTime: '1999-01-01T00:00:00.000000Z' }));
    pass(200);
    expect(clock.age(lease(first))).toEqual({ ageMs: 200, proven: true });
    clock.observe(lease({ ...first, renewTime: '1999-01-01T00:00:00.000000Z' }, '{}'));
    expect(clock.age(lease(first)).ageMs).toBe(0);
  });

  test('is not deceived by writes of others', () => {
    const { clock, pass } = started();
    clock.observe(lease({ renewTime: 'x' }));
    pass(700);
    clock.observe(lease({ renewTime: 'x', holderIdentity: '' }));
    expect(clock.age(lease({})).ageMs).toBe(700);
  });

  test('ages nothing by a break of the watch', () => {
    const { clock, pass } = started();
    clock.observe(lease(first));
    pass(60_000);
    clock.resume();
    expect(clock.age(lease(first)).ageMs).toBe(0);
  });

  test('tells of the first renewal that it sees: from then on somebody is known to be alive', () => {
    const { clock } = started();
    expect(clock.observe(lease(first))).toBe(false);
    expect(clock.observe(lease({ ...first, renewTime: 'y' }))).toBe(true);
    expect(clock.observe(lease({ ...first, renewTime: 'z' }))).toBe(false);
  });

  test('tells once that a Lease has expired, and when it is renewed after that', () => {
    const { clock, pass } = started();
    clock.observe(lease(first));
    pass(700);
    expect(clock.hasExpired(lease(first), 700)).toBe(false);
    pass(1);
    expect([clock.hasExpired(lease(first), 700), clock.hasExpired(lease(first), 700)]).toEqual([true, false]);
    expect(clock.observe(lease(first))).toBe(false);
    expect(clock.observe(lease({ ...first, renewTime: 'y' }))).toBe(true);
    expect(clock.observe(lease({ ...first, renewTime: 'x' }))).toBe(false);
    pass(701);
    expect(clock.hasExpired(lease(first), 700)).toBe(true);
    expect(clock.observe(lease({ ...first, renewTime: 'y' }))).toBe(true);
    expect(clock.observe(lease({ ...first, renewTime: 'z' }))).toBe(false);
  });

  test('tells again that it has expired when it is not renewed after a break of the watch either', () => {
    const { clock, pass } = started();
    clock.observe(lease(first));
    pass(701);
    expect(clock.hasExpired(lease(first), 700)).toBe(true);
    clock.resume();
    expect(clock.hasExpired(lease(first), 700)).toBe(false);
    pass(701);
    expect(clock.hasExpired(lease(first), 700)).toBe(true);
  });

  test('forgets what was deleted', () => {
    const { clock } = started();
    clock.observe(lease(first));
    clock.forget(lease(first));
    clock.observe(lease({ ...first, renewTime: 'y' }));
    expect(clock.age(lease(first)).proven).toBe(false);
  });
});
