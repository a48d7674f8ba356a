// What the leader lets go of the stream (ADR 11): stories of a MemberWorld whose leader looks often.
import { describe, expect, test } from '@jest/globals';
import { step } from '../../sidecar/core/member.ts';
import { Log } from '../../sidecar/core/log.ts';
import { emptyPosition } from '../../common/position.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';
import { framesAfter } from '../lib/sample-frames.ts';

const upkeepMs = 1000;
const retainedFrames = 5;

function grown(replicas = 0): MemberWorld {
  const world = running(3, replicas, { checkpointBytes: 2000, upkeepMs, retainedFrames });
  for (let round = 0; round < 5; round += 1) write(world, 20);
  world.until('all agree', () => agree(world));
  return world;
}

/** The first frame that the stream still has. */
const firstIndex = (world: MemberWorld): number => world.stream[world.purgedSeq]?.[0]?.index ?? 0;

describe('the stream', () => {
  test('is purged below what is stored in NATS and what all have, but for some frames more (I10)', () => {
    const world = grown();
    world.until('it is purged', () => world.purgedSeq > 0);
    world.run(5 * upkeepMs);
    const { index } = world.snapshots.end();
    expect(firstIndex(world)).toBe(Math.max(index - retainedFrames, world.member('m-0').log.baseIndex) + 1);
    for (let round = 0; round < 5; round += 1) write(world, 20);
    world.until('and further', () => firstIndex(world) > index);
  });

  test('is not purged while no snapshot is in NATS (I2)', () => {
    const world = running(3, 0, { checkpointBytes: 2000, upkeepMs, retainedFrames });
    world.snapshots.away = true;
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.run(10 * upkeepMs);
    expect(world.purgedSeq).toBe(0);
  });

  test('is not purged when the snapshot that was stored is there no more (I2)', () => {
    const world = grown();
    world.until('it is purged', () => world.purgedSeq > 0);
    world.run(5 * upkeepMs);
    const { purgedSeq } = world;
    const member = world.member('m-0');
    const now = { nowMs: world.nowMs, wallMs: 0, nonce: 'n' };
    member.upkeep.token = 99;
    member.upkeep.purgedBeforeSeq = 0;
    const effects = step(member, { kind: 'snapshotFound', token: 99, found: { origin: null } }, now);
    expect(effects).toContainEqual(expect.objectContaining({ kind: 'storeSnapshot' }));
    expect(effects).not.toContainEqual(expect.objectContaining({ kind: 'purgeStream' }));
    expect(world.purgedSeq).toBe(purgedSeq);
  });

  test.each(['m-2', 'm-dr-0'])('keeps what %s, who lives and is behind, still needs', (pod) => {
    const world = running(3, 1, { checkpointBytes: 1_000_000, retainedFrames });
    for (let round = 0; round < 20; round += 1) write(world, 1);
    world.until('all agree', () => agree(world));
    world.run(500);
    const { length } = world.member(pod).log;
    world.stalled.add(pod);
    for (let round = 0; round < 20; round += 1) write(world, 1);
    const leader = world.member('m-0');
    // As if a snapshot of almost all were stored and the own log not compacted yet.
    leader.upkeep.token = 99;
    const origin = { clusterId: 'cluster', position: leader.log.position(leader.log.length - 1) };
    const found = { kind: 'snapshotFound', token: 99, found: { origin } } as const;
    const effects = step(leader, found, { nowMs: world.nowMs, wallMs: 0, nonce: 'n' });
    expect(world.member(pod).log.length).toBe(length);
    const beforeSeq = leader.log.lowestSeqFrom(length - retainedFrames + 1);
    expect(effects).toContainEqual({ kind: 'purgeStream', token: leader.upkeep.token, beforeSeq });
  });

  test('does not wait for who is gone', () => {
    const world = grown();
    world.crash('m-2');
    for (let round = 0; round < 5; round += 1) write(world, 20);
    const { length } = world.node('m-2').frames;
    world.run(5 * upkeepMs);
    expect(firstIndex(world)).toBeGreaterThan(world.node('m-2').baseIndex + length - retainedFrames);
    world.start('m-2');
    world.until('it has all', () => agree(world));
  });

  test('is asked for again when the purge was refused', () => {
    const world = grown();
    const member = world.member('m-0');
    world.until('it is purged', () => member.upkeep.purgedBeforeSeq > 0);
    member.upkeep.token = 99;
    step(member, { kind: 'purged', token: 99, done: false }, { nowMs: world.nowMs, wallMs: 0, nonce: 'n' });
    expect(member.upkeep).toMatchObject({ token: null, purgedBeforeSeq: 0 });
  });
});

describe('where the stream has what must stay', () => {
  const logOf = (seqs: readonly number[]): Log => {
    const log = new Log({ position: emptyPosition, history: [], configuration: null, clusterId: null });
    framesAfter(null, seqs.length).forEach((frame, at) => log.append(frame, seqs[at] ?? 0));
    return log;
  };

  test('is the lowest sequence of all of it: a claim stands before what was filled in behind it (I2)', () => {
    expect(logOf([1, 2, 5, 6, 3, 7]).lowestSeqFrom(4)).toBe(3);
  });

  test('is not known when one of the frames came from a member (I2)', () => {
    expect(logOf([1, 2, 3, 0, 5]).lowestSeqFrom(2)).toBe(0);
  });

  test('is nowhere when nothing must stay', () => {
    expect(logOf([1, 2]).lowestSeqFrom(3)).toBe(0);
  });
});
