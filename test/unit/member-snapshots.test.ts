// Checkpoints, compaction and snapshots as the core asks for them (ADR 11): stories of a MemberWorld with a log that is compacted soon.
import { describe, expect, test } from '@jest/globals';
import { lastUid } from '../../sidecar/core/frame.ts';
import { step } from '../../sidecar/core/member.ts';
import type { MemberNode } from '../lib/member-node.ts';
import { agree, running, write } from '../lib/member-stories.ts';

const soon = { checkpointBytes: 2000 };

describe('a log that grows', () => {
  test('is checkpointed and compacted on each member, under writes (I10)', () => {
    const world = running(3, 1, soon);
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.until('all agree', () => agree(world));
    for (const { pod, baseIndex, frames } of world.nodes) {
      expect(baseIndex).toBeGreaterThan(10);
      expect(world.member(pod).log.baseIndex).toBe(baseIndex);
      expect(frames.length).toBeLessThan(world.member(pod).log.length);
      expect(world.member(pod).store.uid).toBe(200);
    }
  });

  test('goes on after a start from the checkpoint: with its state, its configuration and its idempotency keys (I8)', () => {
    const world = running(3, 0, soon);
    const first = world.submit('m-0', 'once', 'value', 'the-key');
    world.until('committed', () => first()?.kind === 'committed');
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.until('all agree', () => agree(world));
    expect(world.node('m-0').baseIndex).toBeGreaterThan(2);
    for (const { pod } of world.nodes) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-1');
    world.until('m-1 leads', () => world.leader() === 'm-1');
    const again = world.submit('m-1', 'once', 'other', 'the-key');
    world.until('answered', () => again() !== undefined);
    expect(again()).toMatchObject({ kind: 'committed', uid: 1, duplicate: true });
    expect(world.member('m-1').store.get('once')?.value).toBe('value');
    write(world, 3);
    world.until('all agree', () => agree(world));
  });
});

describe('a candidate', () => {
  test('goes on when what it was about to fill into the stream is compacted meanwhile', () => {
    const world = running(3, 0, soon);
    for (let round = 0; round < 5; round += 1) write(world, 20);
    world.until('all agree', () => agree(world));
    const member = world.member('m-0');
    const first = member.log.baseIndex + 1;
    const [frame] = world.node('m-0').framesFrom(first);
    const now = { nowMs: world.nowMs, wallMs: 0, nonce: 'n' };
    const filling = (): void => {
      member.role = {
        kind: 'candidate',
        epoch: member.promise,
        stage: { kind: 'filling', sinceMs: world.nowMs, token: 7, index: first, count: 0 },
        voteRounds: 1,
        claimIndex: member.log.length,
        heartbeatAtMs: world.nowMs,
      };
    };
    filling();
    member.checkpoint.token = 99;
    step(member, { kind: 'checkpointed', token: 99, done: { index: first + 1, firstIndex: first + 1 } }, now);
    if (frame === undefined) throw new Error('no frame');
    expect(() => step(member, { kind: 'loaded', token: 7, frames: [frame] }, now)).not.toThrow();
    // Or the journal refuses to read it before the core has heard.
    filling();
    member.checkpoint.token = 100;
    expect(() => step(member, { kind: 'loaded', token: 7, frames: [] }, now)).not.toThrow();
  });
});

describe('a purge', () => {
  test('that left nothing to read moves the place where the next message stands', () => {
    const member = running().member('m-1');
    const { seq } = member.reader;
    step(member, { kind: 'streamPurged', firstSeq: seq + 5 }, { nowMs: 0, wallMs: 0, nonce: 'n' });
    expect(member.reader.seq).toBe(seq + 4);
    step(member, { kind: 'streamPurged', firstSeq: 1 }, { nowMs: 0, wallMs: 0, nonce: 'n' });
    expect(member.reader.seq).toBe(seq + 4);
  });
});

describe('a member that lacks what the others have compacted', () => {
  test('takes a snapshot over when its volume is lost and the stream no longer has the beginning (I2)', () => {
    const world = running(3, 0, soon);
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.until('all agree', () => agree(world));
    world.node('m-2').loseDisk();
    world.stalled.add('m-2');
    world.start('m-2');
    world.until('it has all', () => world.member('m-2').store.uid === 200);
    expect(world.node('m-2').baseIndex).toBeGreaterThan(10);
    world.stalled.delete('m-2');
    write(world, 3);
    world.until('all agree', () => agree(world));
  });

  test('a disaster-recovery replica too', () => {
    const world = running(3, 1, soon);
    world.crash('m-dr-0');
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.stalled.add('m-dr-0');
    world.start('m-dr-0');
    world.until('it has all', () => world.member('m-dr-0').store.uid === 200);
  });

  test('archives its own changes when a forced start parted the logs below what it has compacted (I5)', () => {
    const world = running(3, 0, soon);
    write(world, 3);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    for (let round = 0; round < 10; round += 1) write(world, 20);
    world.until('m-1 has all', () => world.member('m-1').store.uid === 203);
    for (const pod of ['m-0', 'm-1']) world.crash(pod);
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-2', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-2 leads', () => world.leader() === 'm-2', 30_000);
    write(world, 3);
    world.until('all agree', () => agree(world), 60_000);
    expect(world.member('m-0').store.uid).toBe(6);
  });

  test.each([
    ['whose volume is empty', (node: MemberNode) => node.loseDisk()],
    ['that knows of nothing acknowledged', (node: MemberNode) => void node.frames.splice(1)],
  ])('archives its log and takes over that of a forced member %s: it is whole, and there is no snapshot of it (K10, I5)', (_, prepare) => {
    const world = running(3, 0, soon);
    write(world, 3);
    world.until('all agree', () => agree(world));
    world.crash('m-2');
    for (let round = 0; round < 10; round += 1) write(world, 20);
    for (const pod of ['m-0', 'm-1']) world.crash(pod);
    prepare(world.node('m-2'));
    for (const { pod } of world.nodes) world.start(pod);
    world.run(1000);
    world.openRound('m-2', null, { generation: 1, claim: 'forced', configuration: world.disks() });
    world.until('m-2 leads', () => world.leader() === 'm-2', 30_000);
    write(world, 3);
    world.until('all agree', () => agree(world), 60_000);
    for (const pod of ['m-0', 'm-1']) {
      expect(world.member(pod).store.uid).toBe(3);
      expect(world.node(pod).archived.map(lastUid)).toContain(203);
    }
  });
});
