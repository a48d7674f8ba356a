// Disks that are replaced, restored from a copy, added and taken away, and leading without votes (ADR 10): stories of a MemberWorld.
import { describe, expect, test } from '@jest/globals';
import { emptyPosition, noEpoch } from '../../common/position.ts';
import { isRecorded } from '../../sidecar/core/own-disk.ts';
import { emptyHardState } from '../../sidecar/core/hard-state.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

const voters = (world: MemberWorld, pod: string) => world.member(pod).log.configurations.at(-1)?.voters ?? [];
const incarnation = (world: MemberWorld, pod: string): string => world.node(pod).hardState.incarnation;

describe('a disk', () => {
  const epoch = { generation: 0, number: 2, nonce: 'n' };
  const position = { epoch, uid: 10, index: 12, hash: 'a'.repeat(64) };
  const disk = { promise: epoch, incarnation: 'i', session: 's2', recordedSession: 's1' };
  const record = { session: 's2', promise: epoch, position };

  test('is the one that was recorded, also when its last process had not recorded its session yet', () => {
    expect(isRecorded(disk, position, record)).toBe(true);
    expect(isRecorded(disk, position, { ...record, session: 's1' })).toBe(true);
    expect(isRecorded(disk, { ...position, uid: 11 }, record)).toBe(true);
  });

  test('is the same when nothing was recorded: the ControlCluster was deleted and applied again', () => {
    expect(isRecorded(disk, position, null)).toBe(true);
  });

  test.each([
    ['it is empty', emptyHardState, emptyPosition, record],
    ['it is new', emptyHardState, emptyPosition, null],
    ['another session was recorded', disk, position, { ...record, session: 's3' }],
    ['it ends before the recorded position', disk, { ...position, uid: 9 }, record],
    ['its promise is below the recorded one', { ...disk, promise: noEpoch }, position, record],
  ])('is another when %s (I2)', (_, own, end, said) => {
    expect(isRecorded(own, end, said)).toBe(false);
  });
});

describe('a member whose volume is lost', () => {
  test('counts for nothing until the others have put its new disk into the configuration (I2)', () => {
    const world = running();
    write(world, 5);
    const before = incarnation(world, 'm-2');
    world.node('m-2').loseDisk();
    world.cut.add('m-1');
    world.start('m-2');
    world.run(3000);
    // m-0 alone of three disks: the empty one may not make a majority with it.
    const answer = world.submit(world.leader() ?? 'm-0', 'key', 'value');
    world.run(3000);
    expect(answer()?.kind).not.toBe('committed');
    world.cut.delete('m-1');
    world.until('it counts', () =>
      voters(world, 'm-0').some((voter) => voter.pod === 'm-2' && voter.incarnation === incarnation(world, 'm-2')),
    );
    expect(incarnation(world, 'm-2')).not.toBe(before);
    // Now it does: m-1 may go.
    world.until('a leader', () => world.leader() !== null);
    world.crash('m-1');
    world.until('a leader', () => world.leader() !== null);
    write(world, 3);
  });

  test('keeps its incarnation when it only starts again', () => {
    const world = running();
    const before = incarnation(world, 'm-1');
    world.crash('m-1');
    world.start('m-1');
    world.until('it follows', () => world.phase('m-1') === 'Following');
    expect(incarnation(world, 'm-1')).toBe(before);
  });

  test('and that is put back from a copy takes a new incarnation (I2)', () => {
    const world = running();
    write(world, 3);
    world.run(1000);
    const { frames, hardState } = world.node('m-2');
    const copy = { frames: [...frames], hardState };
    write(world, 5);
    world.run(1000);
    const before = incarnation(world, 'm-2');
    world.crash('m-2');
    Object.assign(world.node('m-2'), copy);
    world.start('m-2');
    world.until('it has another', () => incarnation(world, 'm-2') !== before);
    world.until('it counts again', () =>
      voters(world, 'm-0').some((voter) => voter.pod === 'm-2' && voter.incarnation === incarnation(world, 'm-2')),
    );
    world.until('all agree', () => agree(world));
  });

  test('that knew of nobody else follows those that came later and are to go again, when one of them leads', () => {
    const world = running(1);
    write(world, 3);
    const { frames, hardState } = world.node('m-0');
    const copy = { frames: [...frames], hardState };
    world.resize(3);
    world.until('all count', () => voters(world, 'm-0').length === 3);
    write(world, 3);
    world.crash('m-0');
    Object.assign(world.node('m-0'), copy);
    world.name(['m-0']);
    world.until('another leads', () => world.leader() !== null);
    world.start('m-0');
    world.until('m-0 alone counts, with its new disk', () => {
      const [voter, ...others] = voters(world, 'm-0');
      return others.length === 0 && voter?.incarnation === incarnation(world, 'm-0') && voter.incarnation !== hardState.incarnation;
    });
  });

  test('follows while the API server is away, and votes for nobody (I2)', () => {
    const world = running();
    world.crash('m-2');
    world.apiAway = true;
    world.start('m-2');
    write(world, 3);
    world.until('it has all', () => world.member('m-2').store.uid === 3);
    expect(world.member('m-2').disk).toBe('unverified');
    world.crash('m-1');
    const answer = world.submit('m-0', 'key', 'value');
    world.run(3000);
    expect(answer()?.kind).not.toBe('committed');
    world.apiAway = false;
    world.until('it counts', () => world.member('m-2').disk === 'registered');
  });
});

describe('a round without votes', () => {
  test('recovers a cluster that has too few of its disks left, with what the most advanced one has (I2)', () => {
    const world = running();
    write(world, 5);
    world.until('all agree', () => agree(world));
    for (const { pod } of world.nodes) world.crash(pod);
    world.node('m-1').loseDisk();
    world.node('m-2').loseDisk();
    world.stream.length = 0;
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-0');
    world.run(5000);
    expect(world.leader()).toBeNull();
    world.openRound('m-0', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.until('m-0 leads', () => world.leader() === 'm-0');
    world.until('all agree', () => agree(world));
    expect(world.member('m-2').store.uid).toBe(5);
    expect(world.member('m-0').log.lastEpoch.generation).toBe(1);
    write(world, 3);
  });

  test('counts members that came and are to go again, whom neither the log nor failover.csv names', () => {
    const world = running(1);
    write(world, 5);
    world.crash('m-0');
    world.node('m-0').loseDisk();
    world.resize(3);
    world.resize(1);
    world.run(1000);
    world.openRound('m-0', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.until('m-0 leads', () => world.leader() === 'm-0');
    world.until('it counts alone', () => voters(world, 'm-0').length === 1);
    expect(world.member('m-0').store.uid).toBe(5);
    write(world, 3);
  });

  test('lets a member lead with its own log; the others archive what they had beyond it (K10, I5)', () => {
    const world = running();
    write(world, 3);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    write(world, 4);
    world.until('m-1 has all', () => world.member('m-1').store.uid === 7);
    for (const pod of ['m-0', 'm-1']) world.crash(pod);
    for (const pod of ['m-0', 'm-1', 'm-2']) world.start(pod);
    world.run(1000);
    world.openRound('m-2', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-2 leads', () => world.leader() === 'm-2');
    world.until('all agree', () => agree(world));
    expect(world.member('m-0').store.uid).toBe(3);
    for (const pod of ['m-0', 'm-1']) expect(world.node(pod).archived.reduce((sum, { changes }) => sum + changes.length, 0)).toBe(4);
    expect(world.node('m-2').archived).toEqual([]);
    write(world, 3);
  });

  test('deposes a leader that is at work: nothing of a lower generation is acknowledged any more (I3)', () => {
    const world = running();
    write(world, 3);
    world.openRound('m-1', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-1 leads', () => world.leader() === 'm-1' && world.member('m-0').role.kind === 'follower');
    write(world, 3);
    world.until('all agree', () => agree(world));
  });

  test('is tried once: who was interrupted waits for the next generation', () => {
    const world = running();
    for (const { pod } of world.nodes) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.silentStream = true;
    world.openRound('m-0', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.until('it has promised', () => world.member('m-0').promise.generation === 1);
    world.crash('m-0');
    world.silentStream = false;
    world.start('m-0');
    world.run(10_000);
    expect(world.leader()).toBeNull();
    world.openRound('m-0', null, { generation: 2, claim: 'recovery', configuration: world.disks() });
    world.until('m-0 leads', () => world.leader() === 'm-0');
    expect(world.member('m-0').log.lastEpoch).toMatchObject({ generation: 2, number: 0 });
  });
});

describe('a member that is ahead of the leader', () => {
  /** m-2 has four changes that m-0 and m-1 have not; these have gone on with `others`. */
  function ahead(others: number): MemberWorld {
    const world = running();
    write(world, 3);
    world.until('all agree', () => agree(world));
    const common = world.node('m-0').frames.length;
    write(world, 4);
    world.until('all agree', () => agree(world));
    for (const { pod } of world.nodes) world.crash(pod);
    // The others, and the stream, lose the end; nobody noticed.
    for (const pod of ['m-0', 'm-1']) {
      world.node(pod).frames.length = common;
      world.node(pod).record = null;
    }
    world.stream.length = common;
    for (const pod of ['m-0', 'm-1']) world.start(pod);
    world.run(1000);
    world.openRound('m-0');
    world.until('m-0 leads', () => world.leader() === 'm-0');
    write(world, others);
    world.start('m-2');
    return world;
  }

  test('waits, and gives its own changes up when a person says so (K9, I5)', () => {
    const world = ahead(2);
    world.until('it is blocked', () => world.phase('m-2') === 'Blocked');
    world.discardLocal('m-2');
    world.until('it follows', () => world.phase('m-2') === 'Following');
    expect(world.node('m-2').archived.reduce((sum, { changes }) => sum + changes.length, 0)).toBe(4);
    world.until('all agree', () => agree(world));
  });

  test('of which the leader has been passed follows by itself and archives (K8, I5)', () => {
    const world = ahead(6);
    world.until('it follows', () => world.phase('m-2') === 'Following');
    expect(world.node('m-2').archived.reduce((sum, { changes }) => sum + changes.length, 0)).toBe(4);
  });
});
