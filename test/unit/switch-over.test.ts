// A person wants another member to lead: the leader hands over to that one when it has all there is, or leads on.
import { describe, expect, test } from '@jest/globals';
import { coreLimits } from '../../sidecar/core/limits.ts';
import type { SubmitResult } from '../../sidecar/core/io.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

/** Writes one change after the other through whoever leads, each tried again until it is acknowledged; returns what was acknowledged and the longest wait. */
function writeWhile(world: MemberWorld, durationMs: number): { readonly uids: number[]; readonly longestMs: number } {
  const uids: number[] = [];
  let longestMs = 0;
  for (const endMs = world.nowMs + durationMs; world.nowMs < endMs;) {
    const beganMs = world.nowMs;
    const key = `write-${String(uids.length)}`;
    let result: SubmitResult | undefined;
    for (let answer = (): SubmitResult | undefined => undefined; result?.kind !== 'committed'; result = answer()) {
      if (answer() === undefined || result?.kind === 'refused') answer = world.submit(world.leader() ?? 'm-0', key, 'value', key);
      world.run(50);
    }
    uids.push(result.uid);
    longestMs = Math.max(longestMs, world.nowMs - beganMs);
  }
  return { uids, longestMs };
}

const leads = (world: MemberWorld, pod: string, withinMs: number): void => {
  world.until(`${pod} leads`, () => world.leader() === pod, withinMs);
};
/** Nobody steps down for so long. */
const stays = (world: MemberWorld, pod: string): void => {
  const { promise } = world.member(pod);
  world.run(10_000);
  expect([world.leader(), world.member(pod).promise]).toEqual([pod, promise]);
};

/** From m-0 to m-1, and by a second request back. */
function thereAndBack(): MemberWorld {
  const world = running();
  world.switchOver('m-0', 'm-1');
  leads(world, 'm-1', 1000);
  world.until('m-0 follows', () => world.phase('m-0') === 'Following');
  world.switchOver('m-1', 'm-0', 'second');
  leads(world, 'm-0', 1000);
  return world;
}

describe('a switch-over', () => {
  test('lets the one lead that was named within a second, not the first in the order, and it stays', () => {
    const world = running();
    write(world, 20);
    world.switchOver('m-0', 'm-2');
    leads(world, 'm-2', 1000);
    world.until("the Lease is the heir's", () => world.lease.holder.startsWith('m-2'), 100);
    world.until('the former leader follows', () => world.phase('m-0') === 'Following', 1000);
    stays(world, 'm-2');
  });

  test('under writes loses nothing and doubles nothing: each change is acknowledged once, and waits for less than a second (I2, I8)', () => {
    const world = running();
    const before = writeWhile(world, 1000);
    world.switchOver('m-0', 'm-1');
    const { uids, longestMs } = writeWhile(world, 3000);
    expect(world.leader()).toBe('m-1');
    expect(longestMs).toBeLessThanOrEqual(1000);
    // The second writer begins with the keys of the first: those are no new changes.
    expect(new Set([...before.uids, ...uids]).size).toBe(Math.max(before.uids.length, uids.length));
    world.until('all agree', () => agree(world));
    expect(world.member('m-1').store.uid).toBe(new Set([...before.uids, ...uids]).size);
  });

  test('gives the Lease away also when a renewal is under way', () => {
    const world = running();
    world.leaseDelayMs = 300;
    world.until('m-0 renews', () => world.member('m-0').lease.writing);
    world.switchOver('m-0', 'm-1');
    leads(world, 'm-1', 1000);
    world.until("the Lease is the heir's", () => world.lease.holder.startsWith('m-1'), 2000);
    stays(world, 'm-1');
  });

  test('needs no API server: the heir is told, and leads by votes', () => {
    const world = running();
    world.apiAway = true;
    world.switchOver('m-0', 'm-1');
    leads(world, 'm-1', 1000);
    stays(world, 'm-1');
    world.apiAway = false;
    stays(world, 'm-1');
    world.until("the Lease is the heir's", () => world.lease.holder.startsWith('m-1'), 10_000);
  });

  test('may go back at once', () => {
    const world = thereAndBack();
    stays(world, 'm-0');
  });
});

describe('a switch-over that cannot be', () => {
  test('to a member that is cut off is given up when that is no longer heard, and writes go on', () => {
    const world = running();
    world.cut.add('m-1');
    world.switchOver('m-0', 'm-1');
    expect(world.submit('m-0', 'key', 'value')()).toMatchObject({ kind: 'refused', code: 'stopping' });
    world.run(coreLimits.handOverTimeoutMs);
    write(world, 3);
    stays(world, 'm-0');
  });

  test('since the last frame is not acknowledged in time is given up, and changes are taken again', () => {
    const world = running();
    world.silentStream = true;
    world.submit('m-0', 'key', 'value');
    const { promise } = world.member('m-0');
    world.switchOver('m-0', 'm-1');
    world.run(coreLimits.handOverTimeoutMs);
    expect(world.submit('m-0', 'key', 'value')()).toMatchObject({ kind: 'refused', code: 'stopping' });
    world.run(100);
    expect(world.submit('m-0', 'key', 'value')()).toBeUndefined();
    expect(world.member('m-0').promise).toEqual(promise);
  });

  test('waits for the last frame, which then is acknowledged and not lost (I2)', () => {
    const world = running();
    world.stalled.add('m-1').add('m-2');
    const answer = world.submit('m-0', 'key', 'value');
    world.run(50);
    world.switchOver('m-0', 'm-1');
    world.run(1000);
    expect([answer(), world.leader()]).toEqual([undefined, 'm-0']);
    world.stalled.clear();
    leads(world, 'm-1', 1000);
    expect(answer()).toMatchObject({ kind: 'committed', uid: 1 });
    expect(world.member('m-1').store.uid).toBe(1);
  });

  test('to a member that is being stopped is given up at once', () => {
    const world = running();
    world.handOver('m-1');
    world.run(50);
    world.switchOver('m-0', 'm-1');
    write(world, 3);
    expect(world.leader()).toBe('m-0');
  });

  test.each([
    ['the leader itself', 'm-0', 'm-0'],
    ['a pod that nobody knows', 'm-0', 'm-9'],
    ['a disaster-recovery replica (K11)', 'm-0', 'm-dr-0'],
  ])('to %s changes nothing', (_, told, to) => {
    const world = running(3, 1);
    world.switchOver(told, to);
    write(world, 3);
    stays(world, 'm-0');
  });

  test('is not heeded by who does not lead, though it leads later', () => {
    const world = running();
    world.switchOver('m-1', 'm-2');
    stays(world, 'm-0');
    world.handOver('m-0');
    leads(world, 'm-1', 1000);
    world.switchOver('m-1', 'm-2');
    stays(world, 'm-1');
  });

  test('is not heeded by a leader that is being stopped: it has its own heir', () => {
    const world = running();
    world.stalled.add('m-1').add('m-2');
    world.submit('m-0', 'key', 'value');
    world.run(50);
    world.handOver('m-0');
    world.switchOver('m-0', 'm-2');
    world.stalled.clear();
    leads(world, 'm-1', 1000);
  });
});

describe('a request', () => {
  test('that is told again and again is one: it is tried once, and not repeated when its member leads again', () => {
    const world = thereAndBack();
    world.switchOver('m-0', 'm-1');
    stays(world, 'm-0');
    world.switchOver('m-0', 'm-1', 'third');
    leads(world, 'm-1', 1000);
  });

  test('that failed is not tried again by itself', () => {
    const world = running();
    world.cut.add('m-1');
    world.switchOver('m-0', 'm-1');
    world.run(coreLimits.handOverTimeoutMs);
    world.cut.clear();
    world.switchOver('m-0', 'm-1');
    stays(world, 'm-0');
  });
});
