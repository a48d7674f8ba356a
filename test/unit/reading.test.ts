// The reading rules, seen on one member alone that hears the stream and the answers of its peers frame by frame.
import { describe, expect, test } from '@jest/globals';
import { LoneMember, only } from '../lib/lone-member.ts';
import { running } from '../lib/member-stories.ts';
import { epochOf } from '../lib/sample-frames.ts';

describe('a member that reads the stream', () => {
  test('takes no frame of an epoch below its promise, though it continues its log (I3)', () => {
    const member = new LoneMember(running(), 'm-1');
    const { hash } = member.end;
    const late = member.next(member.end.epoch, 'late');
    member.hear(member.voteRequest('m-2', 5));
    member.finishWrites();
    expect(only(member.read(late), 'persist')).toEqual([]);
    expect(member.end.hash).toBe(hash);
  });

  test('takes no frame of an epoch below that of its log, wherever it stands (I1)', () => {
    const member = new LoneMember(running(), 'm-1');
    member.read(member.next(epochOf(5, 'm-2')));
    const { hash } = member.end;
    const older = member.next(epochOf(4), 'older');
    for (const frame of [older, member.next(epochOf(4), 'after it', older)]) expect(only(member.read(frame), 'persist')).toEqual([]);
    expect(member.end.hash).toBe(hash);
  });

  test('stays with the claim that it took when another of its number has more after it (I2)', () => {
    const member = new LoneMember(running(), 'm-1');
    const other = member.next(epochOf(5, 'm-0'));
    const more = member.next(epochOf(5, 'm-0'), 'more', other);
    member.read(member.next(epochOf(5, 'm-2')));
    const { hash } = member.end;
    for (const frame of [other, more]) expect(only(member.read(frame), 'persist')).toEqual([]);
    expect(member.end.hash).toBe(hash);
  });

  test('gives up what it sought when its log has become the more advanced meanwhile (I2, I5)', () => {
    const member = new LoneMember(running(), 'm-1');
    const lacking = member.next(epochOf(2), 'lacking');
    const [asked] = only(member.read(member.next(epochOf(2), 'sought', lacking)), 'fetch');
    member.read(member.next(epochOf(3)));
    member.finishWrites();
    const { hash } = member.end;
    expect(only(member.step({ kind: 'fetched', token: asked?.token ?? 0, frames: [lacking.bytes] }), 'persist')).toEqual([]);
    expect(member.end.hash).toBe(hash);
  });
});
