// The newest checkpoint goes into NATS (ADR 11): stories of a MemberWorld whose leader looks often.
import { describe, expect, test } from '@jest/globals';
import { step } from '../../sidecar/core/member.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

const upkeepMs = 2000;

/** Whose members have made checkpoints. */
function compacted(): MemberWorld {
  const world = running(3, 1, { checkpointBytes: 2000, upkeepMs });
  for (let round = 0; round < 5; round += 1) write(world, 20);
  world.until('all agree', () => agree(world));
  return world;
}
const storedIndex = (world: MemberWorld): number => world.snapshots.stored?.at(-1)?.index ?? 0;

describe('the leader', () => {
  test('stores the newest checkpoint, and nothing again before there is a newer one', () => {
    const world = compacted();
    world.until('one is stored', () => storedIndex(world) === world.member('m-0').checkpoint.index);
    const { count } = world.snapshots;
    world.run(5 * upkeepMs);
    expect(world.snapshots.count).toBe(count);
    for (let round = 0; round < 5; round += 1) write(world, 20);
    world.until('a newer one is stored', () => storedIndex(world) === world.member('m-0').checkpoint.index);
    expect(world.snapshots.count).toBeGreaterThan(count);
  });

  test('stores no more often than it may, whatever is written meanwhile (I10)', () => {
    const world = compacted();
    const { count } = world.snapshots;
    const beginMs = world.nowMs;
    while (world.nowMs - beginMs < 5 * upkeepMs) write(world, 20);
    expect(world.snapshots.count - count).toBeLessThanOrEqual(6);
  });

  test('tries again when NATS did not answer', () => {
    const world = running(3, 0, { checkpointBytes: 2000, upkeepMs });
    world.snapshots.away = true;
    for (let round = 0; round < 5; round += 1) write(world, 20);
    world.run(3 * upkeepMs);
    expect(world.snapshots.stored).toBeNull();
    world.snapshots.away = false;
    world.until('one is stored', () => storedIndex(world) > 0);
  });

  test('stores what it has in the place of what a forced start gave up', () => {
    const world = running(3, 0, { checkpointBytes: 2000, upkeepMs });
    for (let round = 0; round < 5; round += 1) write(world, 20);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.until('one is stored', () => storedIndex(world) > world.node('m-2').frames.length + world.node('m-2').baseIndex);
    const givenUp = storedIndex(world);
    for (const pod of ['m-0', 'm-1']) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-2', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-2 leads', () => world.leader() === 'm-2', 30_000);
    world.until('its own is stored', () => storedIndex(world) !== givenUp && world.member('m-2').log.holds(world.snapshots.end()));
  });

  test('gives up what it is storing when it leads no more', () => {
    const world = compacted();
    const leader = world.member('m-0');
    leader.upkeep.token = 99;
    const now = { nowMs: world.nowMs, wallMs: 0, nonce: 'n' };
    world.handOver('m-0');
    world.until('another leads', () => world.leader() !== 'm-0' && world.leader() !== null);
    expect(leader.upkeep.token).toBeNull();
    leader.upkeep.token = 100;
    expect(step(leader, { kind: 'tick' }, now)).toContainEqual({ kind: 'abortStoring' });
    expect(step(leader, { kind: 'snapshotStored', token: 100, origin: null }, now)).not.toContainEqual(
      expect.objectContaining({ kind: 'note' }),
    );
  });
});
