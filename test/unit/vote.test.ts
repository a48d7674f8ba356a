// What a vote rests on, seen on one member alone: the promise, the log, the disk. And what a candidate makes of the votes.
import { describe, expect, test } from '@jest/globals';
import { LoneMember, only, sent } from '../lib/lone-member.ts';
import { running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';
import { epochOf } from '../lib/sample-frames.ts';

function voter(): LoneMember {
  const world = running();
  write(world, 3);
  return new LoneMember(world, 'm-1');
}

describe('a member that is asked for its vote', () => {
  test('gives it when its promise is on the disk, and not before (I2)', () => {
    const member = voter();
    expect(sent(member.hear(member.voteRequest('m-2', 5)), 'voteAnswer')).toEqual([]);
    expect(sent(member.finishWrites(), 'voteAnswer')).toMatchObject([{ granted: true, epoch: epochOf(5, 'm-2') }]);
  });

  test('gives one in an epoch: whoever asked first may ask again, another of that number may not (I3)', () => {
    const member = voter();
    for (const candidate of ['m-2', 'm-2', 'm-0']) member.hear(member.voteRequest(candidate, 5));
    expect(sent(member.finishWrites(), 'voteAnswer')).toMatchObject([{ granted: true }, { granted: true }]);
    expect(sent(member.hear(member.voteRequest('m-0', 5)), 'voteAnswer')).toMatchObject([{ granted: false, promise: epochOf(5, 'm-2') }]);
  });

  test('gives none to a log that is less advanced than its own (I2)', () => {
    const member = voter();
    const { index } = member.end;
    const shorter = member.member.log.position(index - 1);
    const answers = sent(member.hear(member.voteRequest('m-2', 5, shorter)), 'voteAnswer');
    expect(answers).toMatchObject([{ granted: false, position: { index } }]);
    expect(member.finishWrites()).toEqual([]);
    expect(member.member.promise.number).toBe(1);
  });

  test('gives none before the API server has confirmed its session: its disk may be another (I2)', () => {
    const world = running();
    world.crash('m-1');
    world.start('m-1');
    const member = new LoneMember(world, 'm-1');
    member.step({ kind: 'recorded', record: world.node('m-1').record });
    member.finishWrites();
    expect(member.hear(member.voteRequest('m-2', 5))).toEqual([]);
    expect(member.finishWrites()).toEqual([]);
    member.step({ kind: 'reported', session: member.member.config.session });
    member.hear(member.voteRequest('m-2', 5));
    expect(sent(member.finishWrites(), 'voteAnswer')).toMatchObject([{ granted: true }]);
  });
});

describe('a candidate', () => {
  /** `m-1` waits for the vote of `m-2`; `m-0`, which led, is gone. */
  function candidate(): { world: MemberWorld; member: LoneMember; vote: (incarnation: string) => ReturnType<LoneMember['hear']> } {
    const world = running();
    world.crash('m-0');
    world.stop('m-2');
    world.clearLease();
    const stage = () => {
      const { role } = world.member('m-1');
      return role.kind === 'candidate' ? role.stage.kind : role.kind;
    };
    world.until('m-1 asks for votes', () => stage() === 'voting');
    const member = new LoneMember(world, 'm-1');
    const { promise } = member.member;
    const answer = { kind: 'voteAnswer', from: 'm-2', clusterId: 'cluster', epoch: promise, granted: true, promise } as const;
    return { world, member, vote: (incarnation) => member.hear({ ...answer, incarnation, position: member.end }) };
  }

  test('claims with the vote of a disk that counts, and not with that of another disk in its place (I2)', () => {
    const { world, member, vote } = candidate();
    expect(only(vote('another'), 'publish')).toEqual([]);
    expect(only(vote(world.node('m-2').hardState.incarnation), 'publish')).toMatchObject([
      { frames: [{ kind: 'claim', epoch: member.member.promise }] },
    ]);
  });

  test('whose claim comes too late for its place makes none more in that epoch (I3)', () => {
    const { world, member, vote } = candidate();
    const [claim] = only(vote(world.node('m-2').hardState.incarnation), 'publish');
    const lost = member.step({ kind: 'published', token: claim?.token ?? 0, seq: null });
    expect(only(lost, 'publish')).toEqual([]);
    const [asked] = only(lost, 'askLastSeq');
    member.step({ kind: 'lastSeq', token: asked?.token ?? 0, seq: member.member.reader.seq });
    expect(sent(member.finishWrites(), 'voteRequest')).toMatchObject([{ epoch: { number: (claim?.frames[0]?.epoch.number ?? 0) + 1 } }]);
  });
});
