// The reading rules, seen on one member alone that hears the stream and the answers of its peers frame by frame.
import { describe, expect, test } from '@jest/globals';
import { lastUid } from '../../sidecar/core/frame.ts';
import type { Effect } from '../../sidecar/core/io.ts';
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

  test('asks for what it lacks whoever counts, though failover.csv names it alone', () => {
    const member = new LoneMember(running(), 'm-1');
    member.step({ kind: 'order', members: ['m-1'] });
    // The leader is forgotten.
    member.wait(20_000);
    const [asked] = only(member.read(member.next(epochOf(2), 'sought', member.next(epochOf(2), 'lacking'))), 'fetch');
    expect(['m-0', 'm-2']).toContain(asked?.from);
  });

  test('asks for frames again when the snapshot that it was given for them has no more than its log', () => {
    const member = new LoneMember(running(), 'm-1');
    const { end } = member;
    const lacking = member.next(epochOf(2), 'lacking');
    const sought = member.next(epochOf(2), 'sought', lacking);
    const position = { epoch: sought.epoch, uid: lastUid(sought), index: sought.index, hash: sought.hash };
    const beat = { ...member.heartbeat('m-0', sought.epoch, position), baseIndex: end.index };
    const asked: Effect[] = [...member.read(sought)];
    const goOn = (): void => {
      member.hear(beat);
      asked.push(...member.wait(500));
    };
    for (let round = 0; only(asked, 'fetchSnapshot').length === 0; round += 1) {
      expect(round).toBeLessThan(20);
      // Nobody has them.
      for (const { token } of only(asked.splice(0), 'fetch')) asked.push(...member.step({ kind: 'fetched', token, frames: [] }));
      goOn();
    }
    const [{ token, from } = { token: 0, from: null }] = only(asked.splice(0), 'fetchSnapshot');
    expect(from).toEqual({ kind: 'member', pod: 'm-0' });
    const received = { id: 'one', head: { clusterId: 'cluster', position: end } };
    asked.push(...member.step({ kind: 'snapshotFetched', token, received }));
    for (let round = 0; only(asked, 'fetch').length === 0; round += 1) {
      expect(round).toBeLessThan(20);
      goOn();
    }
    const fetch = only(asked, 'fetch')[0]?.token ?? 0;
    member.step({ kind: 'fetched', token: fetch, frames: [lacking.bytes] });
    expect(member.end.hash).toBe(sought.hash);
  });

  test.each([
    ['the leader', true],
    ['another', false],
  ])('that lacks more than it can hold takes frames of before its promise one by one from %s: %s', (_, leads) => {
    const member = new LoneMember(running(), 'm-1');
    const before = member.end;
    const early = member.next(before.epoch, 'early');
    const claim = member.next(epochOf(5, 'm-0'), null, member.next(before.epoch, 'lacking', early));
    member.hear(member.voteRequest('m-0', 5));
    member.finishWrites();
    member.wait(20_000);
    if (leads)
      member.hear({
        ...member.heartbeat('m-0', claim.epoch, before),
        position: { ...before, epoch: claim.epoch, index: claim.index, hash: claim.hash },
      });
    const [asked] = only(member.read(claim), 'fetch');
    member.step({ kind: 'fetched', token: asked?.token ?? 0, frames: [early.bytes] });
    expect(member.end.hash).toBe(leads ? early.hash : before.hash);
  });
});
