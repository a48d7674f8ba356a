// What members say of their disks in the status, and the Events of it: a journal that waits for repair, changes that were given up.
import { describe, expect, test } from '@jest/globals';
import { controlClusterStatusSchema } from '../../common/status.ts';
import { eventsOf } from '../../operator/core/events.ts';
import { judge } from '../../operator/core/judgement.ts';
import type { Observed } from '../../operator/core/observed.ts';
import { outlineOf, statusOf } from '../../operator/core/status.ts';
import { healthy } from '../lib/observed-cluster.ts';

const of = (one: Observed) => statusOf(one, judge(one));
const eventsAfter = (before: Observed, after: Observed) => {
  const next = { ...after, cluster: { ...after.cluster, status: of(before) } };
  return eventsOf(next, judge(next), of(next));
};

test('a journal that waits for repair is told: the pod, the file, and what it waits for', () => {
  const message = 'The journal is damaged: frame 7 (/var/lib/controlcluster/log/1: …). It waits for another member.';
  const waiting = { podUid: 'trading-2-uid', reason: 'JournalDamaged', message };
  const damaged = healthy({ members: { 'trading-2': { ageMs: 9_000, waiting } } });
  expect(of(damaged).members?.[2]).toMatchObject({ phase: 'Starting', ready: false, reason: 'JournalDamaged', message });
  expect(of(damaged).conditions?.find(({ type }) => type === 'Degraded')?.message).toBe(
    `Not ready: trading-2 (JournalDamaged: ${message})`,
  );
  const pod = { name: 'trading-2', uid: 'trading-2-uid' };
  expect(eventsAfter(healthy(), damaged)).toContainEqual({
    type: 'Warning',
    reason: 'JournalDamaged',
    message: `trading-2: ${message}`,
    pod,
  });
  expect(eventsAfter(damaged, damaged)).toEqual([]);
  const others = healthy({ members: { 'trading-2': { ageMs: 9_000, waiting: { ...waiting, podUid: 'before' } } } });
  expect(of(others).members?.[2]).toMatchObject({ phase: 'Absent', reason: 'NoReport' });
  const reports = healthy({ members: { 'trading-2': { waiting } } });
  expect(of(reports).members?.[2]).toMatchObject({ phase: 'Following', ready: true });
});

describe('Events of changes that a member gave up', () => {
  const tail = { id: 'diverged-0.1-11-13-aaaaaaaa', kind: 'diverged' as const, firstUid: 11, lastUid: 13, changes: 3 };
  const one = { ...tail, id: 'diverged-0.2-14-14-bbbbbbbb', firstUid: 14, lastUid: 14, changes: 1 };
  const state = { id: 'state-7-40-cccccccc.checkpoint', kind: 'state' as const, lastUid: 40 };
  const gaveUp = (...discarded: (typeof tail | typeof state)[]) => healthy({ members: { 'trading-1': { report: { discarded } } } });

  test('say once how many, which UIDs and where, and who lists them (I5)', () => {
    expect(eventsAfter(healthy(), gaveUp(tail))).toEqual([
      {
        type: 'Warning',
        reason: 'ChangesArchived',
        message: `trading-1 gave up 3 changes, UIDs 11 to 13, which the cluster does not have. It is kept as archive ${tail.id} on volume controlcluster-data-trading-1. POST /v1/archives/${tail.id}/replay on the pod submits it again.`,
        pod: { name: 'trading-1', uid: 'trading-1-uid' },
      },
    ]);
    expect(eventsAfter(gaveUp(tail), gaveUp(tail))).toEqual([]);
    expect(eventsAfter(gaveUp(tail), gaveUp(tail, one, state)).map(({ message }) => message)).toEqual([
      expect.stringContaining('gave up 1 change, UID 14,'),
      expect.stringContaining('gave up the state of its log up to UID 40,'),
    ]);
  });

  test('do not come again when the pod was away (I5)', () => {
    const away = healthy({ status: of(gaveUp(tail)), members: { 'trading-1': { pod: null } } });
    expect(of(away).members?.[1]?.discarded).toEqual([tail]);
    expect(eventsAfter(away, gaveUp(tail)).map(({ reason }) => reason)).not.toContain('ChangesArchived');
  });

  test('are due at once, whatever was written last', () => {
    expect(outlineOf(of(gaveUp(tail)))).not.toBe(outlineOf(of(healthy())));
    expect(controlClusterStatusSchema.parse(of(gaveUp(tail, state)))).toEqual(of(gaveUp(tail, state)));
  });
});
