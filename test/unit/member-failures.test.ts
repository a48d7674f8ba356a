// Rows of the failure table that the core alone decides: a leader that was stopped, the API server away, a Lease that is granted twice, wrong clocks.
import { describe, expect, test } from '@jest/globals';
import type { MemberWorld } from '../lib/member-world.ts';
import { agree, running, write } from '../lib/member-stories.ts';

const beyondTheLeaseMs = 10_000;
const minutesMs = 5 * 60_000;

const leadersBut = (world: MemberWorld, pod: string): string[] =>
  world.nodes.flatMap((node) => (node.pod !== pod && node.member?.role.kind === 'leader' ? [node.pod] : []));

describe('a leader that is stopped past its Lease', () => {
  test('acknowledges nothing that the new leader does not have, and follows (I3)', () => {
    const world = running();
    write(world, 5);
    const before = world.submit('m-0', 'before', 'it was stopped');
    world.stop('m-0');
    // It waits in the socket, before all that the others say.
    const meanwhile = world.submit('m-0', 'meanwhile', 'value');
    world.until('another leads', () => leadersBut(world, 'm-0').length === 1, 2 * beyondTheLeaseMs);
    const next = world.member(leadersBut(world, 'm-0')[0] ?? '');

    world.continue('m-0');
    world.until('m-0 follows', () => world.phase('m-0') === 'Following');
    expect(meanwhile()).toMatchObject({ kind: 'refused' });
    expect([before()?.kind, next.store.get('before')?.value, next.store.get('meanwhile')]).toEqual([
      'committed',
      'it was stopped',
      undefined,
    ]);
    world.until('all agree', () => agree(world));
    expect(world.leader()).toBe(next.config.pod);
  });

  test('confirms no read with what it has, however late the answers come that waited for it (I9)', () => {
    const world = running();
    const read = world.read('m-0');
    world.stop('m-0');
    world.until('another leads', () => leadersBut(world, 'm-0').length === 1, 2 * beyondTheLeaseMs);
    const [next = ''] = leadersBut(world, 'm-0');
    const newer = world.submit(next, 'key', 'of the new leader');
    world.until('acknowledged', () => newer()?.kind === 'committed');
    const asked = world.read('m-0');
    world.continue('m-0');
    world.until('both are answered', () => read() !== undefined && asked() !== undefined);
    expect(asked()?.kind).toBe('refused');
  });
});

describe('the API server', () => {
  test('that only the leader does not reach changes nothing: writes are acknowledged on and on', () => {
    const world = running();
    world.apiCut.add('m-0');
    for (let round = 0; round < 10; round += 1) {
      world.run(beyondTheLeaseMs / 5);
      // The others see a Lease that nobody renews, and hear a leader.
      write(world, 2);
    }
    expect(world.leader()).toBe('m-0');
    expect(world.member('m-0').store.uid).toBe(20);
  });

  test('that is away for minutes changes nothing, also when it is back', () => {
    const world = running();
    const { promise } = world.member('m-0');
    world.apiAway = true;
    world.run(minutesMs);
    write(world, 5);
    world.apiAway = false;
    world.run(2 * beyondTheLeaseMs);
    expect([world.leader(), world.member('m-0').promise]).toEqual(['m-0', promise]);
  });
});

describe('a Lease that is granted twice', () => {
  test('does not make two leaders that acknowledge: the votes decide (I3)', () => {
    const world = running();
    write(world, 5);
    // `m-1` sees a free Lease from now on, takes it and holds it; `m-0` holds the one that there is all the time.
    world.otherLease.set('m-1', { ...world.lease, holder: '', version: 'other' });
    world.apiCut.add('m-2');
    world.stop('m-0');
    world.until('m-1 leads', () => leadersBut(world, 'm-0').includes('m-1'));
    const late = world.submit('m-0', 'key', 'of the old leader');
    const newer = world.submit('m-1', 'key', 'of the new leader');
    world.until('the new one acknowledges', () => newer()?.kind === 'committed');
    expect(world.lease.holder).toMatch(/^m-0/);
    world.continue('m-0');
    world.until('the old one has answered', () => late() !== undefined);
    expect(late()).toMatchObject({ kind: 'refused' });
    world.until('it follows', () => world.phase('m-0') === 'Following');
    world.until('all agree', () => agree(world));
  });
});

describe('clocks that are wrong by hours', () => {
  test('have no effect: nobody steps down, and another leads as ever when the leader is gone', () => {
    const world = running();
    const { promise } = world.member('m-0');
    ['m-0', 'm-1', 'm-2'].forEach((pod, at) => (world.node(pod).wallOffsetMs = (at - 1) * 5 * 3_600_000));
    world.run(minutesMs);
    write(world, 5);
    expect([world.leader(), world.member('m-0').promise]).toEqual(['m-0', promise]);
    world.crash('m-0');
    world.until('another leads', () => world.leader() !== null, 12_000);
    write(world, 5);
    world.start('m-0');
    world.until('all agree', () => world.phase('m-0') === 'Following' && agree(world));
  });
});
