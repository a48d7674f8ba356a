// Stories in which an acknowledged change would be lost, if a vote were given otherwise than it is. The stream has lost its end in each of them:
// as long as it is whole, it keeps a candidate from claiming without what it lacks.
import { expect, test } from '@jest/globals';
import { encodeFrame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
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

test('a candidate with more changes of an older epoch does not lead with them in the place of newer ones (I2)', () => {
  const world = running();
  write(world, 3);
  world.until('all agree', () => agree(world));
  world.crash('m-2');
  const { frames } = world.node('m-2');
  for (let made = 0; made < 5; made += 1) {
    const last = frames.at(-1);
    if (last === undefined) throw new Error('no frame');
    const { bytes: _bytes, hash: prevHash, ...body } = last;
    const firstUid = body.firstUid + body.changes.length;
    frames.push(encodeFrame({ ...body, index: body.index + 1, firstUid, prevHash }, sha256));
  }
  world.handOver('m-0');
  world.until('m-1 leads', () => world.leader() === 'm-1');
  const before = world.stream.length;
  const answer = world.submit('m-1', 'key', 'acknowledged');
  world.until('it is acknowledged', () => answer()?.kind === 'committed');
  world.crash('m-1');
  world.loseStreamAfter(before);
  world.start('m-2');
  world.openRound('m-2');
  world.until('m-2 leads', () => world.leader() === 'm-2');
  expect(world.member('m-2').store.get('key')?.value).toBe('acknowledged');
});

/** `m-1` has asked `m-2` for its vote, which `m-2` has not heard yet, and stands still; `m-0` leads and knows of nothing. */
function asked(): { world: MemberWorld; before: number } {
  const world = running();
  write(world, 3);
  world.until('all agree', () => agree(world));
  const before = world.stream.length;
  world.cut.add('m-0');
  world.stop('m-2');
  letStand(world);
  world.until('m-1 asks for votes', () => isVoting(world), 3000);
  world.stop('m-1');
  return { world, before };
}

test('a member that lost power while it wrote its promise has not voted: what it takes after its start is kept (I2)', () => {
  const { world, before } = asked();
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

test('a leader acknowledges nothing with a member that has voted for another, who would lead without it (I2)', () => {
  const { world, before } = asked();
  world.continue('m-2');
  world.until('m-2 has voted', () => world.node('m-2').hardState.promise.number === 2);
  world.cut.clear();
  const answer = world.submit('m-0', 'key', 'acknowledged');
  world.run(1000);
  lose(world, before);
  world.continue('m-1');
  world.until('m-1 leads', () => world.member('m-1').role.kind === 'leader');
  expect([answer()?.kind, world.member('m-1').store.get('key')]).not.toEqual(['committed', undefined]);
});
