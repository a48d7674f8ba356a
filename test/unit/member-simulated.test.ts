// What the simulator found in the core, told as stories: lost streams, and words of leaders that came late.
import { describe, expect, test } from '@jest/globals';
import { MemberWorld } from '../lib/member-world.ts';
import { agree, running, write } from '../lib/member-stories.ts';

describe('a stream that was lost', () => {
  test('before the leader had read its own claim back is read anew, and the leader leads again', () => {
    const world = new MemberWorld(1);
    world.stalled.add('m-0');
    world.start('m-0');
    world.run(1000);
    world.openRound('m-0');
    world.until('m-0 leads', () => world.leader() === 'm-0');
    world.loseStreamAfter(0);
    world.stalled.clear();
    world.submit('m-0', 'key', 'value');
    world.until('it has stepped down', () => world.leader() === null);
    world.until('it leads again', () => world.leader() === 'm-0', 5000);
    write(world, 1);
  });

  test('from an end on that the leader had stored and not read back gets all of it again', () => {
    const world = new MemberWorld(1);
    world.start('m-0');
    world.run(1000);
    world.openRound('m-0');
    world.until('m-0 leads', () => world.leader() === 'm-0');
    world.stalled.add('m-0');
    write(world, 1);
    write(world, 1);
    world.loseStreamAfter(world.stream.length - 1);
    world.stalled.clear();
    world.run(100);
    world.submit('m-0', 'key', 'value');
    world.run(5000);
    write(world, 1);
    const stored = world.stream.flat().map(({ hash }) => hash);
    expect(
      world
        .node('m-0')
        .frames.map(({ hash }) => hash)
        .filter((hash) => !stored.includes(hash)),
    ).toEqual([]);
  });

  test('leaves a log without the high-water mark to be completed from a member that came after the round was opened', () => {
    const world = running();
    write(world, 3);
    world.until('all agree', () => agree(world));
    const { epoch, index, uid, hash } = world.member('m-0').log.position();
    for (const { pod } of world.nodes) world.crash(pod);
    // What the API server knew of it is gone too: nothing tells that its disk is not the one that it was.
    Object.assign(world.node('m-2'), { frames: [], record: null });
    world.loseStreamAfter(0);
    world.start('m-2');
    world.run(1000);
    world.openRound('m-2', { epoch, uid, index, hash });
    // They were not counted, so that they may not stand themselves.
    for (const pod of ['m-0', 'm-1']) world.start(pod);
    world.until('m-2 leads', () => world.leader() === 'm-2');
    expect(world.member('m-2').store.uid).toBe(3);
  });
});

test('a member that the late word of a leader has blocked waits for a start round with all others when no more is heard', () => {
  const world = running();
  write(world, 3);
  world.until('all agree', () => agree(world));
  const position = world.member('m-0').log.position(1);
  for (const { pod } of world.nodes) world.crash(pod);
  world.node('m-0').frames.pop();
  for (const pod of ['m-0', 'm-2']) world.start(pod);
  const beat = { kind: 'heartbeat', from: 'm-0', clusterId: 'cluster', opened: true, round: 0, baseIndex: 0 } as const;
  world.tell('m-2', { ...beat, epoch: position.epoch, position, acknowledged: position });
  world.until('m-2 is blocked', () => world.phase('m-2') === 'Blocked');
  world.until('m-2 waits', () => world.phase('m-2') === 'Waiting', 8000);
  world.start('m-1');
  world.run(1000);
  world.openRound('m-2');
  world.until('m-2 leads', () => world.leader() === 'm-2');
});
