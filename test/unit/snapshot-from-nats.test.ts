// A snapshot in NATS is taken when no member gives one (ADR 11): stories of a MemberWorld whose stream was purged.
import { describe, expect, test } from '@jest/globals';
import { encodeFrame, type Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { epochOf, framesAfter } from '../lib/sample-frames.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

const upkeepMs = 2000;

/** A snapshot is stored, and the stream begins behind it. */
function purged(members = 3): MemberWorld {
  const world = running(members, 0, { checkpointBytes: 2000, upkeepMs });
  for (let round = 0; round < 5; round += 1) write(world, 20);
  world.until('all agree', () => agree(world));
  world.until('one is stored', () => world.snapshots.end().index === world.member('m-0').checkpoint.index);
  world.purgedSeq = world.snapshots.end().index - 2;
  write(world, 20);
  world.until('all agree', () => agree(world));
  return world;
}

/** All at once, with all volumes; they wait then. */
function loseAllDisks(world: MemberWorld): void {
  for (const node of world.nodes) node.loseDisk();
  for (const { pod } of world.nodes) world.start(pod);
  world.run(1500);
}
const recover = (world: MemberWorld): void => {
  world.openRound('m-1', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
};

describe('a cluster that lost every volume, and whose stream no longer begins with the first frame', () => {
  test('is rebuilt from the snapshot in NATS and the stream behind it (I2)', () => {
    const world = purged();
    const { uid } = world.member('m-0').store;
    loseAllDisks(world);
    recover(world);
    world.until('m-1 leads', () => world.leader() === 'm-1', 30_000);
    expect(world.member('m-1').store.uid).toBe(uid);
    write(world, 3);
    world.until('all agree', () => agree(world), 30_000);
  });

  test('of a single member, too (I2)', () => {
    const world = purged(1);
    const { uid } = world.member('m-0').store;
    loseAllDisks(world);
    world.openRound('m-0', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.until('m-0 leads', () => world.leader() === 'm-0', 30_000);
    expect(world.member('m-0').store.uid).toBe(uid);
  });

  test('waits while NATS does not answer for its snapshots, and claims nothing (I2)', () => {
    const world = purged();
    const { uid } = world.member('m-0').store;
    const messages = world.stream.length;
    world.snapshots.away = true;
    loseAllDisks(world);
    recover(world);
    world.run(30_000);
    expect(world.stream).toHaveLength(messages);
    world.snapshots.away = false;
    world.until('m-1 leads', () => world.leader() === 'm-1', 40_000);
    expect(world.member('m-1').store.uid).toBe(uid);
  });
});

describe('a member that is to recover the cluster, and had promised the generation of an earlier attempt', () => {
  test.each([
    ['a snapshot in NATS and the stream', true],
    ['the stream alone, however long it is', false],
  ])('takes over what is in %s (I2)', (_, isPurged) => {
    const world = purged();
    if (!isPurged) world.purgedSeq = 0;
    const mark = markOf(world.stream.flat().at(-1) as Frame);
    loseAllDisks(world);
    // Who was to recover it dies before it has.
    world.crash('m-1');
    world.openRound('m-1', mark, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.run(1500);
    expect(world.member('m-0').promise.generation).toBe(1);
    world.start('m-1');
    world.run(1500);
    // As if the stream had more than can be set aside.
    world.member('m-0').reader.orphans.clear();
    world.openRound('m-0', mark, { generation: 2, claim: 'recovery', configuration: world.disks() });
    world.until('m-0 leads', () => world.leader() === 'm-0', 40_000);
    expect(world.member('m-0').log.holds(mark)).toBe(true);
  });
});

describe('a snapshot in NATS', () => {
  test('that a forced start gave up is not taken, when the stream tells of it (I2)', () => {
    const world = purged();
    const givenUp = world.snapshots.stored;
    const before = world.snapshots.end().index;
    for (const { pod } of world.nodes) world.crash(pod);
    // Of m-2 there is only an old part.
    const node = world.node('m-2');
    node.checkpoints = node.checkpoints.slice(0, 1);
    node.frames = [];
    node.baseIndex = node.checkpoints[0]?.length ?? 0;
    expect(node.baseIndex).toBeLessThan(before);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1500);
    world.openRound('m-2', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-2 leads', () => world.leader() === 'm-2', 30_000);
    const claim = world.stream.flat().find(({ epoch }) => epoch.generation === 1) as Frame;
    expect(claim.index).toBeLessThanOrEqual(before);
    world.snapshots.stored = givenUp;
    world.run(500);
    loseAllDisks(world);
    world.openRound('m-1', markOf(claim), {
      generation: 2,
      claim: 'recovery',
      configuration: world.disks(),
    });
    world.run(30_000);
    expect(world.leader()).toBeNull();
    expect(world.member('m-1').log.length).toBe(0);
  });

  test('of another cluster is not taken', () => {
    const world = purged();
    const claim = world.stream.flat().at(-1) as Frame;
    world.snapshots.stored = framesAfter(null, 500, 'a', epochOf(99));
    loseAllDisks(world);
    world.openRound('m-1', markOf(claim), { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.run(30_000);
    expect(world.leader()).toBeNull();
    expect(world.member('m-1').log.length).toBe(0);
  });

  test('is taken by who gets none from the leader', () => {
    const world = purged();
    world.node('m-2').loseDisk();
    world.snapshots.silent.add('m-0');
    world.start('m-2');
    world.until('it has all', () => agree(world), 30_000);
  });
});

describe('a member whose log is as long as the others have compacted, and parted from theirs', () => {
  test('takes a snapshot over, as nobody has the frames that lead to it (I5)', () => {
    const world = running(3, 0, { checkpointBytes: 2000, retainedFrames: 0 });
    write(world, 3);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    // Claims that nobody acknowledged, as of a leader that was cut off.
    const node = world.node('m-2');
    let last = node.frames.at(-1) as Frame;
    for (let made = 0; made < 40; made += 1) {
      last = claimAfter(last);
      node.frames.push(last);
    }
    for (let round = 0; round < 40; round += 1) write(world, 1);
    const { baseIndex, length } = world.member('m-0').log;
    expect(baseIndex).toBeLessThan(last.index);
    expect(baseIndex).toBeGreaterThan(last.index - 40);
    world.purgedSeq = length - 1;
    world.start('m-2');
    world.until('it has all', () => agree(world), 30_000);
    expect(node.archived.length).toBeGreaterThanOrEqual(40);
  });
});

const claimAfter = ({ epoch, index, firstUid, changes, hash, clusterId }: Frame): Frame =>
  encodeFrame(
    {
      ...{ version: 1, kind: 'claim', clusterId, epoch, index: index + 1, firstUid: firstUid + changes.length },
      ...{ prevHash: hash, timeMs: 1, acknowledgedIndex: 0, changes: [] },
    },
    sha256,
  );

const markOf = ({ epoch, firstUid, index, hash }: Frame) => ({ epoch, uid: firstUid - 1, index, hash });
