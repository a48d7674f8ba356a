// The core as a whole: several members tell the stories of start, fail-over, hand-over and return.
import { describe, expect, test } from '@jest/globals';
import { MemberWorld } from '../lib/member-world.ts';
import { agree, running, write } from '../lib/member-stories.ts';

describe('start', () => {
  test('no member leads before a start round is open (K7)', () => {
    const world = new MemberWorld(3);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(30_000);
    expect(world.leader()).toBeNull();
    expect(world.stream).toHaveLength(0);
    expect(world.phase('m-1')).toBe('Waiting');
  });

  test('the designated member leads and the others follow in sync (I7)', () => {
    const world = running();
    expect(world.nodes.map(({ pod }) => world.member(pod).synced)).toEqual([true, true, true]);
  });

  test('a cluster of one leads alone', () => {
    const world = running(1);
    write(world, 3);
    expect(world.member('m-0').store.uid).toBe(3);
  });

  test('a DR replica follows and never campaigns (I4)', () => {
    const world = running(3, 1);
    write(world, 5);
    world.until('all agree', () => agree(world));
    for (const pod of ['m-0', 'm-1', 'm-2']) world.crash(pod);
    world.clearLease();
    world.run(30_000);
    expect(world.leader()).toBeNull();
    expect(world.lease.holder).toBe('');
  });

  test('a round of an earlier start counts nobody: after a full outage all wait for a new one (K7)', () => {
    const world = running();
    write(world, 3);
    for (const { pod } of world.nodes) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(30_000);
    expect(world.leader()).toBeNull();
    world.openRound('m-1');
    world.until('m-1 leads', () => world.leader() === 'm-1');
    write(world, 2);
    world.until('all agree', () => agree(world));
  });

  test('a log without the high-water mark does not open (I6)', () => {
    const world = running();
    write(world, 3);
    const { epoch, index, uid } = world.member('m-0').log.position();
    for (const { pod } of world.nodes) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.openRound('m-0', { epoch, uid: uid + 1, index: index + 1, hash: 'f'.repeat(64) });
    world.run(20_000);
    expect(world.leader()).toBeNull();
    expect(world.nodes.some(({ pod }) => world.member(pod).refusal?.reason === 'BelowHighWaterMark')).toBe(true);
  });
});

describe('writing', () => {
  test('every member holds the same chain and the same state (I1)', () => {
    const world = running();
    write(world, 200);
    world.until('all agree', () => agree(world));
    expect(world.nodes.map(({ pod }) => world.member(pod).store.uid)).toEqual([200, 200, 200]);
  });

  test('a change is acknowledged only when a majority has it on disk (I2)', () => {
    const world = running();
    world.cut.add('m-1').add('m-2');
    const answer = world.submit('m-0', 'key', 'value');
    world.run(2000);
    expect(answer()).toBeUndefined();
    world.cut.clear();
    world.until('it is acknowledged', () => answer()?.kind === 'committed');
  });

  test('a leader that no majority answers steps down and says that the outcome is unknown (I3)', () => {
    const world = running();
    world.cut.add('m-1').add('m-2');
    const answer = world.submit('m-0', 'key', 'value');
    world.until('the leader steps down', () => world.leader() === null);
    expect(answer()).toMatchObject({ kind: 'refused', code: 'outcome_unknown' });
  });

  test('the same idempotency key is one change, also after a fail-over (I8)', () => {
    const world = running();
    const first = world.submit('m-0', 'key', 'value', 'once');
    world.until('acknowledged', () => first() !== undefined);
    world.crash('m-0');
    world.clearLease();
    world.until('another leads', () => world.leader() !== null);
    const second = world.submit(world.leader() ?? '', 'key', 'value', 'once');
    world.until('acknowledged', () => second() !== undefined);
    expect(second()).toMatchObject({ kind: 'committed', uid: 1, duplicate: true });
  });
});

describe('fail-over', () => {
  test('nothing acknowledged is lost when the leader dies, and it comes back as a follower (I2)', () => {
    const world = running();
    write(world, 50);
    world.crash('m-0');
    world.clearLease();
    world.until('another leads', () => world.leader() !== null);
    write(world, 50);
    world.start('m-0');
    world.until('m-0 follows', () => world.phase('m-0') === 'Following');
    world.until('all agree', () => agree(world));
    expect(world.member('m-0').store.uid).toBe(100);
    expect(world.leader()).not.toBe('m-0');
  });

  test('without the operator the Lease runs out and another leads', () => {
    const world = running();
    write(world, 5);
    world.crash('m-0');
    world.until('another leads', () => world.leader() !== null, 12_000);
    expect(world.member(world.leader() ?? '').store.uid).toBe(5);
  });

  test('without the operator a leader whose process was restarted frees the Lease that its former process held', () => {
    const world = running();
    world.crash('m-0');
    world.run(1000);
    world.start('m-0');
    world.until('another leads', () => world.leader() !== null && world.leader() !== 'm-0', 3000);
    world.until('it follows', () => world.phase('m-0') === 'Following');
  });

  test('a leader that was cut off acknowledges nothing more and follows when it is back (I3)', () => {
    const world = running();
    write(world, 5);
    world.cut.add('m-0');
    const lost = world.submit('m-0', 'lost', 'value');
    world.until('another leads', () => world.nodes.some(({ pod, member }) => pod !== 'm-0' && member?.role.kind === 'leader'));
    world.until('m-0 steps down', () => world.member('m-0').role.kind !== 'leader');
    expect(lost()).toMatchObject({ kind: 'refused', code: 'outcome_unknown' });
    world.cut.clear();
    world.until('m-0 follows', () => world.phase('m-0') === 'Following');
    write(world, 5);
    world.until('all agree', () => agree(world));
  });

  test('a hand-over moves leadership within a second and loses nothing', () => {
    const world = running();
    write(world, 20);
    const beganMs = world.nowMs;
    world.handOver('m-0');
    world.until('another leads', () => world.leader() !== null && world.leader() !== 'm-0');
    expect(world.nowMs - beganMs).toBeLessThanOrEqual(1000);
    expect(world.phase('m-0')).toBe('Stopping');
    write(world, 20);
    expect(world.member(world.leader() ?? '').store.uid).toBe(40);
  });

  test('a hand-over gives the Lease away also when a renewal is under way, and the heir stays', () => {
    const world = running();
    world.leaseDelayMs = 300;
    world.until('m-0 renews', () => world.member('m-0').lease.writing);
    world.handOver('m-0');
    world.until('another leads', () => world.leader() !== null && world.leader() !== 'm-0', 1000);
    const heir = world.leader() ?? '';
    const { promise } = world.member(heir);
    world.until("the Lease is the heir's", () => world.lease.holder.startsWith(heir), 2000);
    world.until('m-0 has nothing left to hand over', () => world.member('m-0').stopping?.released === true, 200);
    world.run(10_000);
    expect([world.leader(), world.member(heir).promise]).toEqual([heir, promise]);
  });

  test('the process that hands over ends before the Lease is given away: the heir takes it when it has run out, and stays', () => {
    const world = running();
    world.leaseDelayMs = 300;
    world.until('m-0 renews', () => world.member('m-0').lease.writing);
    world.handOver('m-0');
    world.run(50);
    world.crash('m-0');
    world.until('another leads', () => world.leader() !== null, 1000);
    const heir = world.leader() ?? '';
    const { promise } = world.member(heir);
    world.until("the Lease is the heir's", () => world.lease.holder.startsWith(heir), 10_000);
    world.run(5_000);
    expect([world.leader(), world.member(heir).promise]).toEqual([heir, promise]);
  });
});

describe('the stream loses messages', () => {
  test('a lost end is filled from the journals, and nothing acknowledged is lost (I2)', () => {
    const world = running();
    write(world, 50);
    world.loseStreamAfter(1);
    write2(world);
    world.until('all agree', () => agree(world));
    expect(new Set(world.stream.flat().map(({ hash }) => hash)).size).toBe(world.member('m-0').log.length);
  });

  test('a stream that is lost whole is rebuilt, and nothing acknowledged is lost (I2)', () => {
    const world = running();
    write(world, 50);
    world.loseStreamAfter(0);
    write2(world);
    world.until('all agree', () => agree(world));
    expect(new Set(world.stream.flat().map(({ hash }) => hash)).size).toBe(world.member('m-0').log.length);
  });

  test('members whose volumes are all lost are rebuilt from the stream (I2)', () => {
    const world = running();
    write(world, 50);
    for (const node of world.nodes) node.loseDisk();
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-0', null, { generation: 1, claim: 'recovery', configuration: world.disks() });
    world.until('a member leads', () => world.leader() !== null);
    expect(world.member(world.leader() ?? '').store.uid).toBe(50);
  });

  function write2(world: MemberWorld): void {
    world.until('a member leads', () => world.leader() !== null);
    world.run(2000);
    write(world, 10);
    expect(world.member(world.leader() ?? '').store.uid).toBe(60);
  }
});
