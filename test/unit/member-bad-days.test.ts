// The core on bad days: each test tells how a cluster once got stuck or answered wrongly.
import { describe, expect, test } from '@jest/globals';
import { encodeFrame, type Frame } from '../../sidecar/core/frame.ts';
import { emptyHardState } from '../../sidecar/core/hard-state.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { MemberWorld } from '../lib/member-world.ts';
import { agree, running, write } from '../lib/member-stories.ts';

describe('reads', () => {
  test('are confirmed by answers of this leadership, not by those of an earlier one (I9)', () => {
    const world = running();
    for (let round = 0; round < 3; round += 1) {
      const read = world.read('m-0');
      world.until('it is confirmed', () => read()?.kind === 'confirmed');
    }
    world.cut.add('m-0');
    world.until('another leads', () => world.nodes.some(({ pod, member }) => pod !== 'm-0' && member?.role.kind === 'leader'));
    world.until('m-0 has stepped down', () => world.member('m-0').role.kind === 'follower');
    const next = world.leader() ?? '';
    world.cut.clear();
    world.until('m-0 follows', () => world.phase('m-0') === 'Following');
    world.cut.add(next);
    world.until('m-0 leads again', () => world.member('m-0').role.kind === 'leader');
    world.cut.clear();
    world.until('all agree', () => agree(world));

    world.cut.add('m-0');
    const read = world.read('m-0');
    world.run(500);
    expect(read()).toBeUndefined();
  });
});

describe('writes', () => {
  test('get an answer in time when the stream does not say whether it took them', () => {
    const world = running();
    world.silentStream = true;
    const answer = world.submit('m-0', 'key', 'value');
    world.until('it is answered', () => answer() !== undefined, 12_000);
    expect(answer()).toMatchObject({ kind: 'refused', code: 'outcome_unknown' });
    expect(world.leader()).toBe('m-0');
  });
});

describe('a candidate', () => {
  test('whose claim the stream does not confirm gives the Lease back in time, and the others get their turn', () => {
    const world = running();
    write(world, 3);
    world.silentStream = true;
    world.crash('m-0');
    world.clearLease();
    const claims = () => world.nodes.find(({ member }) => member?.role.kind === 'candidate' && member.role.stage.kind === 'claiming');
    world.until('one claims', () => claims() !== undefined);
    const first = claims()?.pod ?? '';
    world.until('it has given up', () => world.member(first).role.kind === 'follower', 12_000);
    world.silentStream = false;
    world.until('a member leads', () => world.leader() !== null);
  });
});

describe('a member that is further behind than it can hold', () => {
  /** More than fit into `orphanBytes`. */
  const largeChanges = 110;

  /** `m-2` lacks most of the log, and is told nothing of it by the stream; `m-0`, which led, is gone. */
  function behind(): MemberWorld {
    const world = running();
    world.cut.add('m-2');
    for (let at = 0; at < largeChanges; at += 1) {
      const answer = world.submit('m-0', 'large', 'x'.repeat(700_000));
      world.until('acknowledged', () => answer()?.kind === 'committed');
    }
    world.until('m-1 has it', () => world.member('m-1').log.length === world.member('m-0').log.length);
    world.stalled.add('m-2');
    world.crash('m-0');
    world.clearLease();
    world.cut.clear();
    return world;
  }

  test('does not vote before it has caught up, so that the cluster gets a leader', () => {
    const world = behind();
    world.until('m-2 is asked for its vote', () => world.member('m-2').highestEpoch.number > 1);
    world.run(100);
    world.stalled.clear();
    world.until('a member leads', () => world.leader() !== null, 10_000);
    write(world, 3);
    world.until('m-2 has it all', () => world.member('m-2').store.uid === largeChanges + 3);
  });

  test('catches up from a peer when the stream tells it nothing', () => {
    const world = behind();
    world.until('m-1 leads', () => world.leader() === 'm-1', 20_000);
    write(world, 3);
    world.until('m-2 has it all', () => world.member('m-2').store.uid === largeChanges + 3);
  });

  test('takes over what lies between in steps when it has voted already', () => {
    const world = running();
    world.stalled.add('m-2');
    const answer = world.submit('m-0', 'one', 'more');
    world.until('acknowledged', () => answer()?.kind === 'committed');
    world.crash('m-0');
    world.clearLease();
    world.until('m-2 has voted', () => world.member('m-2').promise.number > 1);
    world.cut.add('m-2');
    world.start('m-0');
    world.until('another leads', () => world.leader() !== null);
    for (let at = 0; at < largeChanges; at += 1) {
      const large = world.submit(world.leader() ?? '', 'large', 'x'.repeat(700_000));
      world.until('acknowledged', () => large()?.kind === 'committed');
    }
    world.cut.clear();
    world.until('m-2 has it all', () => world.member('m-2').store.uid === largeChanges + 1);
  });
});

describe('a volume of another cluster', () => {
  const epoch = { generation: 0, number: 9, nonce: 'f'.repeat(16) };
  const change = { operations: [{ put: { key: 'foreign', value: 1 } }] };
  /** A log of cluster `other`, in an epoch above all that this cluster has seen: a claim and some changes. */
  function foreignLog(): Frame[] {
    const frames: Frame[] = [];
    for (let index = 1; index <= 5; index += 1) {
      const kind = index === 1 ? 'claim' : 'data';
      const changes = kind === 'claim' ? [] : [change];
      const prevHash = frames.at(-1)?.hash ?? '';
      const head = { version: 1, clusterId: 'other', epoch, timeMs: 0, acknowledgedIndex: 0 } as const;
      frames.push(encodeFrame({ ...head, kind, index, firstUid: Math.max(index - 1, 1), prevHash, changes }, sha256));
    }
    return frames;
  }

  test.each(['m-0', 'm-1', 'm-2'])('in %s blocks it, and nobody takes anything over from it (I1, I2)', (foreign) => {
    const world = running();
    write(world, 20);
    world.until('all agree', () => agree(world));
    world.crash(foreign);
    world.node(foreign).loseDisk();
    Object.assign(world.node(foreign), { frames: foreignLog(), hardState: { ...emptyHardState, promise: epoch, incarnation: 'foreign' } });
    world.start(foreign);
    world.until('it is blocked', () => world.phase(foreign) === 'Blocked');
    // The others get a leader among themselves, also when one of them starts anew.
    const [first = '', second = ''] = ['m-0', 'm-1', 'm-2'].filter((pod) => pod !== foreign);
    world.crash(second);
    world.start(second);
    world.until('it follows', () => ['Leading', 'Following'].includes(world.phase(second)));
    write(world, 3);
    world.run(5000);
    for (const pod of [first, second]) expect([world.member(pod).log.clusterId, world.node(pod).archived]).toEqual(['cluster', []]);
    expect([world.phase(foreign), world.member(foreign).log.length, world.node(foreign).archived]).toEqual(['Blocked', 5, []]);
    expect(world.member(world.leader() ?? '').store.uid).toBe(23);
  });

  test('in the stream keeps the members from starting until the stream is deleted, as they ask for it', () => {
    const world = running();
    write(world, 3);
    for (const { pod } of world.nodes) world.crash(pod);
    world.stream.splice(0, Infinity, ...foreignLog().map((frame) => [frame]));
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-0');
    world.until('it is said', () => world.member('m-0').refusal?.reason === 'ForeignStream');
    world.loseStreamAfter(0);
    world.until('a member leads', () => world.leader() !== null);
    expect(world.member(world.leader() ?? '').store.uid).toBe(3);
  });
});

describe('a blocked member', () => {
  test('votes for whom it lacks many frames of, and keeps its own log (K9)', () => {
    const world = new MemberWorld(3, { divergedMember: 'Block' });
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-0');
    world.until('m-0 leads', () => world.leader() === 'm-0');
    write(world, 3);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    const { frames } = world.node('m-2');
    const last = frames.at(-1);
    if (last === undefined) throw new Error('no frame');
    const own = encodeFrame({ ...last, index: last.index + 1, firstUid: last.firstUid + last.changes.length, prevHash: last.hash }, sha256);
    frames.push(own);
    for (let at = 0; at < 80; at += 1) write(world, 1);
    world.start('m-2');
    world.until('it is blocked', () => world.phase('m-2') === 'Blocked');
    world.crash('m-0');
    world.clearLease();
    world.run(20_000);
    expect([world.phase('m-2'), world.member('m-2').log.position().hash, world.node('m-2').archived]).toEqual(['Blocked', own.hash, []]);
  });
});

describe('a follower', () => {
  test('that starts under constant load is in sync although a frame is always on its way (I7)', () => {
    const world = running();
    write(world, 10);
    world.crash('m-2');
    world.run(500);
    world.start('m-2');
    for (let at = 0; at < 100 && !world.member('m-2').synced; at += 1) {
      world.stalled.add('m-2');
      world.submit('m-0', 'key', 'value');
      world.run(50);
      world.stalled.delete('m-2');
      world.run(50);
    }
    expect(world.member('m-2').synced).toBe(true);
  });

  test('is said to catch up, not to follow, when it lacks acknowledged changes for long', () => {
    const world = running();
    const { epoch } = world.member('m-0').log.position();
    const ahead = { epoch, uid: 9, index: 9, hash: '9'.repeat(64) };
    for (let elapsedMs = 0; elapsedMs < 8000; elapsedMs += 500) {
      world.tell('m-2', {
        kind: 'heartbeat',
        from: 'm-0',
        clusterId: 'cluster',
        epoch,
        opened: true,
        round: 0,
        position: ahead,
        acknowledged: ahead,
        baseIndex: 0,
      });
      world.cut.add('m-2');
      world.run(500);
      expect(world.phase('m-2')).toBe(elapsedMs < 4500 ? 'Following' : elapsedMs > 5500 ? 'CatchingUp' : world.phase('m-2'));
    }
    world.cut.clear();
    world.until('it follows again', () => world.phase('m-2') === 'Following');
  });
});

describe('a hand-over', () => {
  test('to a member that is stopped at the same time goes on to the third at once', () => {
    const world = running();
    world.handOver('m-1');
    world.run(50);
    world.handOver('m-0');
    world.until('m-2 leads', () => world.leader() === 'm-2', 1500);
  });

  test('whose message crosses the stop of its heir goes on to the third at once', () => {
    const world = running();
    world.handOver('m-0');
    world.handOver('m-1');
    world.until('m-2 leads', () => world.leader() === 'm-2', 3000);
  });

  test('when all stop at once waits for nobody: the Lease is free at once', () => {
    const world = running();
    write(world, 3);
    for (const pod of ['m-2', 'm-1', 'm-0']) {
      world.handOver(pod);
      world.run(50);
    }
    world.until('the Lease is free', () => world.lease.holder === '', 300);
  });

  test('of a cluster of one waits for nobody', () => {
    const world = running(1);
    write(world, 3);
    world.handOver('m-0');
    world.until('the Lease is free', () => world.lease.holder === '', 200);
  });
});

describe('a log without the high-water mark', () => {
  test('is refused before anybody is asked: no claims pile up (I6)', () => {
    const world = running();
    write(world, 3);
    const { epoch, index, uid } = world.member('m-0').log.position();
    for (const { pod } of world.nodes) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    const before = world.stream.length;
    world.openRound('m-0', { epoch, uid: uid + 1, index: index + 1, hash: 'f'.repeat(64) });
    world.run(20_000);
    expect(world.stream).toHaveLength(before);
  });
});
