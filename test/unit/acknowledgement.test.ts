// What a leader counts, and when it stops: seen on one leader alone, whose followers say what the test says. Then what a follower believes of it.
import { describe, expect, test } from '@jest/globals';
import { emptyPosition, noEpoch } from '../../common/position.ts';
import type { Effect } from '../../sidecar/core/io.ts';
import { coreLimits } from '../../sidecar/core/limits.ts';
import { LoneMember, only } from '../lib/lone-member.ts';
import { running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';
import { epochOf, put } from '../lib/sample-frames.ts';

interface Writing {
  readonly world: MemberWorld;
  readonly leader: LoneMember;
}

/** The stream and the leader's disk have it. */
function store(leader: LoneMember, [publish]: readonly Extract<Effect, { kind: 'publish' }>[]): void {
  leader.step({ kind: 'published', token: publish?.token ?? 0, seq: (publish?.expectedSeq ?? 0) + 1 });
  expect(only(leader.finishWrites(), 'answer')).toEqual([]);
}

/** `m-0` leads and has written a change to its own disk that no other is known to have. */
function writing(): Writing {
  const world = running();
  const leader = new LoneMember(world, 'm-0');
  store(leader, only(leader.step({ kind: 'submit', id: 1, change: put('key', 'value'), bytes: 10 }), 'publish'));
  return { world, leader };
}

const answers = (effects: readonly Effect[]): string[] => only(effects, 'answer').map(({ result }) => result.kind);

describe('a leader', () => {
  test('acknowledges with what a majority reports under its promise (I2)', () => {
    const { world, leader } = writing();
    expect(answers(leader.hear(leader.report(world, 'm-1')))).toEqual(['committed']);
  });

  test.each([
    ['below its own', noEpoch],
    ['of its number with another nonce', epochOf(1, 'another')],
  ])('counts no report under a promise %s (I3)', (_, promise) => {
    const { world, leader } = writing();
    expect(answers(leader.hear(leader.report(world, 'm-1', { promise })))).toEqual([]);
  });

  test('that hears of a higher promise leads no more, and has acknowledged nothing by it (I3)', () => {
    const { world, leader } = writing();
    expect(answers(leader.hear(leader.report(world, 'm-1', { promise: epochOf(2) })))).toEqual(['refused']);
    expect(leader.member.role.kind).toBe('follower');
  });

  test('counts no disk that is not in the configuration, though its pod is (I2)', () => {
    const { world, leader } = writing();
    expect(answers(leader.hear(leader.report(world, 'm-1', { incarnation: 'another' })))).toEqual([]);
  });

  test('counts no log that is as long and parted from its own (I2)', () => {
    const { world, leader } = writing();
    const position = { ...leader.end, hash: 'f'.repeat(64) };
    expect(answers(leader.hear(leader.report(world, 'm-1', { position })))).toEqual([]);
  });

  test('in whose log a higher epoch comes leads no more (I3)', () => {
    const { leader } = writing();
    expect(answers(leader.read(leader.next(epochOf(2))))).toEqual(['refused']);
    expect(leader.member.role.kind).toBe('follower');
  });
});

describe('a leader that hears of another disk of a member', () => {
  const long = coreLimits.voterLagFrames + 1;
  /** A log of so many frames, all acknowledged. */
  function leading(frames: number): Writing {
    const world = running();
    for (let made = 0; made < frames; made += 1) write(world, 1);
    return { world, leader: new LoneMember(world, 'm-0') };
  }
  const another = { incarnation: 'another' };
  const publishedBy = ({ leader, world }: Writing, pod: string, changes: Parameters<LoneMember['report']>[2]) => {
    leader.hear(leader.report(world, pod, changes));
    return only(leader.wait(50), 'publish');
  };

  test('takes it into the configuration when it has caught up under its promise (I2)', () => {
    const next = publishedBy(leading(1), 'm-2', another);
    expect(next.map(({ frames }) => frames[0]?.configuration?.find(({ pod }) => pod === 'm-2')?.incarnation)).toEqual(['another']);
  });

  test('does not take it in before it has promised its epoch (I2)', () => {
    expect(publishedBy(leading(1), 'm-2', { ...another, promise: noEpoch })).toEqual([]);
  });

  test('does not take it in before it has caught up (I2)', () => {
    expect(publishedBy(leading(long), 'm-2', { ...another, position: emptyPosition })).toEqual([]);
  });

  test('counts by the configuration before too, until the new one is acknowledged (I2)', () => {
    const writing = leading(1);
    const { leader, world } = writing;
    store(leader, publishedBy(writing, 'm-2', another));
    leader.hear(leader.report(world, 'm-2', another));
    expect(leader.member.acknowledgedIndex).toBe(leader.end.index - 1);
    leader.hear(leader.report(world, 'm-1'));
    expect(leader.member.acknowledgedIndex).toBe(leader.end.index);
  });

  test('counts by the new configuration from its frame on (I2)', () => {
    const writing = leading(1);
    const { leader, world } = writing;
    leader.step({ kind: 'order', members: ['m-0', 'm-1', 'm-2', 'm-3'] });
    store(leader, publishedBy(writing, 'm-1', { from: 'm-3', incarnation: 'fourth', identity: 'fourth' }));
    leader.hear(leader.report(world, 'm-1'));
    // Two of three, and two of four.
    expect(leader.member.acknowledgedIndex).toBe(leader.end.index - 1);
    leader.hear(leader.report(world, 'm-2'));
    expect(leader.member.acknowledgedIndex).toBe(leader.end.index);
  });

  test('takes one in at a time: the next when the one before is acknowledged (I2)', () => {
    const writing = leading(1);
    const { leader, world } = writing;
    store(leader, publishedBy(writing, 'm-2', another));
    expect(publishedBy(writing, 'm-1', { ...another, position: leader.member.log.position(leader.end.index - 1) })).toEqual([]);
    leader.hear(leader.report(world, 'm-1'));
    expect(leader.member.acknowledgedIndex).toBe(leader.end.index);
    expect(publishedBy(writing, 'm-1', another)).toHaveLength(1);
  });
});

describe('a follower', () => {
  test('takes as acknowledged what its log holds, not what only has the same index there (I2)', () => {
    const member = new LoneMember(running(), 'm-1');
    const { index, epoch } = member.end;
    member.read(member.next(epoch, 'not acknowledged'));
    const beat = member.heartbeat('m-2', epochOf(2), { ...member.end, epoch: epochOf(2), hash: 'f'.repeat(64) });
    expect(only(member.hear(beat), 'applied')).toEqual([]);
    expect([member.member.acknowledgedIndex, member.end.index]).toEqual([index, index + 1]);
  });

  test('makes a checkpoint of what is acknowledged, though its disk has more (I2)', () => {
    const member = new LoneMember(running(3, 0, { checkpointBytes: 800 }), 'm-1');
    const { epoch } = member.end;
    const acknowledged = member.next(epoch, 'a'.repeat(400));
    const next = member.next(epoch, 'next', acknowledged);
    for (const frame of [acknowledged, next]) member.read(frame);
    member.finishWrites();
    const { index, hash } = acknowledged;
    const beat = member.heartbeat('m-0', epoch, { epoch, uid: 1, index, hash });
    expect(only(member.hear(beat), 'checkpoint')).toMatchObject([{ index }]);
    expect(member.member.durable.position.index).toBe(next.index);
  });

  test('that starts is not in sync by the word of a leader, but when it has what that has acknowledged (I7)', () => {
    const world = running();
    world.crash('m-2');
    write(world, 3);
    world.start('m-2');
    const member = new LoneMember(world, 'm-2');
    const beat = member.heartbeat('m-0', epochOf(1), world.member('m-0').log.position());
    const [asked] = only(member.hear(beat), 'locate');
    const { index, hash, epoch } = member.end;
    member.step({ kind: 'located', token: asked?.token ?? 0, end: { index, hash, epoch } });
    member.hear(beat);
    expect([member.member.join.kind, member.member.synced]).toEqual(['running', false]);
    for (const frame of world.node('m-0').frames.slice(index)) member.read(frame);
    member.hear(beat);
    expect(member.member.synced).toBe(true);
  });
});
