// Stories in which an acknowledged change would be lost, if a vote were given otherwise than it is. The stream has lost its end in each of them:
// as long as it is whole, it keeps a candidate from claiming without what it lacks.
import { expect, test } from '@jest/globals';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

/** `m-1` sees a Lease of its own, which nobody holds. */
function letStand(world: MemberWorld): void {
  world.otherLease.set('m-1', { ...world.lease, holder: '', version: 'other' });
}

const isVoting = (world: MemberWorld): boolean => {
  const { role } = world.member('m-1');
  return role.kind === 'candidate' && role.stage.kind === 'voting';
};

/** By `m-0` and `m-2`. */
function acknowledge(world: MemberWorld): void {
  const answer = world.submit('m-0', 'key', 'acknowledged');
  world.until('it is acknowledged', () => answer()?.kind === 'committed');
  world.until('m-2 has it', () => world.node('m-2').frames.length === world.member('m-0').log.length);
}

/** The leader is gone, and with it what was last in the stream. */
function lose(world: MemberWorld, streamLength: number): void {
  world.crash('m-0');
  world.loseStreamAfter(streamLength);
}

function expectKept(world: MemberWorld): void {
  world.until('m-1 leads', () => world.member('m-1').role.kind === 'leader');
  expect(world.member('m-1').store.get('key')?.value).toBe('acknowledged');
}

test('a candidate that lacks a change which its voter has does not lead without it (I2)', () => {
  const world = running();
  write(world, 3);
  world.until('all agree', () => agree(world));
  const before = world.stream.length;
  world.cut.add('m-1');
  acknowledge(world);
  lose(world, before);
  // It ranks higher.
  world.apiCut.add('m-2');
  world.cut.clear();
  world.clearLease();
  expectKept(world);
});

test('a member that lost power while it wrote its promise has not voted: what it takes after its start is kept (I2)', () => {
  const world = running();
  write(world, 3);
  world.until('all agree', () => agree(world));
  const before = world.stream.length;
  world.cut.add('m-0');
  world.stop('m-2');
  letStand(world);
  world.until('m-1 asks for votes', () => isVoting(world), 3000);
  world.stop('m-1');
  world.node('m-2').losesPower = true;
  world.continue('m-2');
  world.run(50);
  expect(world.node('m-2').member).toBeNull();

  world.cut.clear();
  world.start('m-2');
  world.until('m-2 follows', () => world.phase('m-2') === 'Following', 3000);
  acknowledge(world);
  lose(world, before);
  world.continue('m-1');
  expectKept(world);
});
