// Who stands for election, and what a candidate waits for before it promises: seen on one member alone, without a leader.
import { describe, expect, test } from '@jest/globals';
import type { StartRound } from '../../common/report.ts';
import type { Effect } from '../../sidecar/core/io.ts';
import { LoneMember, only, sent } from '../lib/lone-member.ts';
import { running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

/** After it nobody hears a leader any more, and a Lease that nobody renews is free. */
const silenceMs = 20_000;

/** `m-1` has heard of nobody for long, and sees a Lease that nobody holds, with this round. */
function alone(world: MemberWorld, designated = 'm-1', round: Partial<StartRound> = {}): { member: LoneMember; effects: Effect[] } {
  const { generation = 0, claim = 'elected', configuration = world.disks(), highWaterMark = null } = round;
  world.openRound(designated, highWaterMark, { generation, claim, configuration });
  const member = new LoneMember(world, 'm-1');
  member.step({ kind: 'lease', record: world.lease });
  member.finishWrites();
  return { member, effects: [...member.wait(silenceMs), ...member.wait(silenceMs)] };
}

/** The Lease is its own; the stream ends where it has read to. */
function stand({ member, world }: { member: LoneMember; world: MemberWorld }): Effect[] {
  member.step({ kind: 'lease', record: { ...world.lease, holder: member.member.identity, version: 'mine' } });
  return end(member, member.wait(50));
}

function end(member: LoneMember, asking: readonly Effect[]): Effect[] {
  const [asked] = only(asking, 'askLastSeq');
  return member.step({ kind: 'lastSeq', token: asked?.token ?? 0, seq: member.member.reader.seq });
}

describe('a member that hears no leader', () => {
  test('takes a free Lease when its disk counts', () => {
    expect(only(alone(running()).effects, 'writeLease')).toHaveLength(1);
  });

  test('leaves the Lease alone when its disk is not in the configuration (I2)', () => {
    const world = running();
    world.node('m-1').loseDisk();
    world.start('m-1');
    const member = new LoneMember(world, 'm-1');
    member.step({ kind: 'recorded', record: world.node('m-1').record });
    member.finishWrites();
    member.step({ kind: 'reported', session: member.member.config.session });
    world.openRound('m-1');
    member.step({ kind: 'lease', record: world.lease });
    for (const frame of world.stream.flat()) member.read(frame);
    member.finishWrites();
    expect([member.member.disk, member.member.join.kind, member.end]).toEqual([
      'registered',
      'running',
      world.member('m-0').log.position(),
    ]);
    expect(only([...member.wait(silenceMs), ...member.wait(silenceMs)], 'writeLease')).toEqual([]);
  });

  test('leaves the Lease alone while nobody has claimed the generation that it promised (I3)', () => {
    const { member, effects } = alone(running(), 'm-2', { generation: 1, claim: 'forced' });
    expect(member.member.promise.generation).toBe(1);
    expect(only(effects, 'writeLease')).toEqual([]);
  });
});

describe('a candidate', () => {
  test('asks for no votes with a log that has another change in the place of the high-water mark (I6)', () => {
    const world = running();
    write(world, 3);
    const { epoch, uid, index } = world.member('m-1').log.position();
    const { member } = alone(world, 'm-1', { highWaterMark: { epoch, uid, index, hash: 'f'.repeat(64) } });
    expect(only(stand({ member, world }), 'persist')).toEqual([]);
    expect([member.member.role.kind, member.member.refusal?.reason]).toEqual(['follower', 'BelowHighWaterMark']);
  });

  test('that recovers a cluster promises when all others have, whose logs can grow no more then (I2)', () => {
    const world = running();
    const { member } = alone(world, 'm-1', { generation: 1, claim: 'recovery' });
    expect(only(stand({ member, world }), 'persist')).toEqual([]);
    const promise = { generation: 1, number: 0, nonce: '' };
    expect(only(member.hear(member.report(world, 'm-0', { promise })), 'persist')).toEqual([]);
    expect(only(member.hear(member.report(world, 'm-2', { promise })), 'persist')).toHaveLength(1);
    expect(only(member.finishWrites(), 'publish')).toMatchObject([{ frames: [{ kind: 'claim', epoch: { generation: 1, number: 0 } }] }]);
  });

  test('that is to lead with its own log takes over no other, however advanced (K10)', () => {
    const world = running();
    const { member } = alone(world, 'm-1', { generation: 1, claim: 'forced' });
    const { hash } = member.end;
    member.read(member.next({ generation: 0, number: 9, nonce: 'n' }, 'more'));
    stand({ member, world });
    expect(only(member.finishWrites(), 'publish')).toMatchObject([{ frames: [{ kind: 'claim', prevHash: hash }] }]);
  });

  test('that is to lead without votes claims the number 0 once (I3)', () => {
    const world = running();
    const { member } = alone(world, 'm-1', { generation: 1, claim: 'forced' });
    stand({ member, world });
    const [claim] = only(member.finishWrites(), 'publish');
    expect(claim?.frames[0]?.epoch).toMatchObject({ generation: 1, number: 0 });
    end(member, member.step({ kind: 'published', token: claim?.token ?? 0, seq: null }));
    const again = member.finishWrites();
    expect(only(again, 'publish')).toEqual([]);
    expect(sent(again, 'voteRequest')).toMatchObject([{ epoch: { generation: 1, number: 1 } }]);
  });
});
