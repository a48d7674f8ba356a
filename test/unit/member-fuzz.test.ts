// Messages, frames and answers that have the right form and make no sense: a member takes or drops them, and never ends because of them.
// Whoever lies in the right form may spoil an election; what is shown here is that the process survives and the log stays whole.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { epochSchema, type Epoch, type Position } from '../../common/position.ts';
import type { Message } from '../../sidecar/core/message.ts';
import { encodeFrame, lastUid, type Frame, type FrameBody } from '../../sidecar/core/frame.ts';
import { phaseOf } from '../../sidecar/core/phase.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import * as anything from '../lib/arbitrary-log.ts';
import { agree, running, write } from '../lib/member-stories.ts';
import { frameAfter, put } from '../lib/sample-frames.ts';
import type { MemberWorld } from '../lib/member-world.ts';

const pod = fc.constantFrom('m-0', 'm-1', 'm-2', 'm-dr-0', 'stranger');
const number = fc.oneof(fc.nat({ max: 4 }), fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1));
const epoch: fc.Arbitrary<Epoch> = fc.record({
  generation: fc.nat({ max: 2 }),
  number: fc.nat({ max: 9 }),
  nonce: fc.constantFrom('', 'a', '0000000000000001'),
});
const position: fc.Arbitrary<Position> = fc.record({ epoch, uid: number, index: number, hash: anything.hash });
const sent = { from: pod, clusterId: fc.constantFrom('', 'cluster', 'other'), epoch, position };
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('voteRequest' as const), ...sent }),
  fc.record({ kind: fc.constant('voteAnswer' as const), ...sent, incarnation: pod, granted: fc.boolean(), promise: epoch }),
  fc.record({
    kind: fc.constant('heartbeat' as const),
    ...sent,
    opened: fc.boolean(),
    round: number,
    acknowledged: position,
    baseIndex: number,
  }),
  fc.record({
    kind: fc.constant('report' as const),
    from: pod,
    clusterId: sent.clusterId,
    identity: pod,
    incarnation: pod,
    baseIndex: number,
    promise: epoch,
    position,
    eligible: fc.boolean(),
    synced: fc.boolean(),
    round: number,
  }),
  fc.record({ kind: fc.constant('handOver' as const), from: pod, clusterId: sent.clusterId, to: pod, epoch }),
);
/** A frame whose place is that behind the log, but for what is replaced. */
const frame = fc.record({
  body: anything.frameBody,
  replaced: fc.record(
    { epoch, index: fc.integer({ min: 1, max: 20 }), firstUid: fc.integer({ min: 1, max: 20 }), acknowledgedIndex: fc.nat({ max: 6 }) },
    { requiredKeys: [] },
  ),
  ofCluster: fc.boolean(),
});
const disturbance = fc.oneof(
  fc.record({ kind: fc.constant('message' as const), to: fc.constantFrom('m-0', 'm-1', 'm-2', 'm-dr-0'), message }),
  fc.record({ kind: fc.constant('frame' as const), frame }),
);

function publishStrange(
  world: MemberWorld,
  { body, replaced, ofCluster }: { body: FrameBody; replaced: Partial<FrameBody>; ofCluster: boolean },
): void {
  const end = world.member('m-1').log.position();
  const place = { epoch: end.epoch, index: end.index + 1, firstUid: end.uid + 1, prevHash: end.hash };
  world.stream.push([encodeFrame({ ...body, ...place, ...(ofCluster ? { clusterId: 'cluster' } : {}), ...replaced }, sha256)]);
}

function expectOneChain(frames: readonly Frame[]): void {
  let [prevHash, uid] = ['', 0];
  for (const [at, frame] of frames.entries()) {
    expect([frame.index, frame.prevHash, frame.firstUid]).toEqual([at + 1, prevHash, uid + 1]);
    [prevHash, uid] = [frame.hash, lastUid(frame)];
  }
}

test('a member survives what makes no sense, and its log stays one chain without gaps (I1)', () => {
  fc.assert(
    fc.property(fc.array(disturbance, { minLength: 1, maxLength: 6 }), (disturbances) => {
      const world = running(3, 1);
      write(world, 3);
      for (const each of disturbances) {
        if (each.kind === 'message') world.tell(each.to, each.message);
        else publishStrange(world, each.frame);
        world.run(300);
      }
      world.run(2000);
      for (const { frames } of world.nodes) expectOneChain(frames);
    }),
    { numRuns: 40 },
  );
});

test.each<[string, Partial<FrameBody>]>([
  ['a gap in the UIDs', { firstUid: 9 }],
  ['a UID that was given already', { firstUid: 2 }],
  ['another index than its place', { index: 9 }],
])('a frame with %s is taken over by nobody, nor what stands on it, and the cluster goes on (I1)', (_, wrong) => {
  const world = running();
  write(world, 3);
  const { epoch: current, index, uid, hash } = world.member('m-1').log.position();
  const { bytes: _bytes, hash: _hash, ...body } = frameAfter(null, [put('stray', 'value')], current);
  const stray = encodeFrame({ ...body, clusterId: 'cluster', index: index + 1, firstUid: uid + 1, prevHash: hash, ...wrong }, sha256);
  world.stream.push([stray], [frameAfter(stray, [put('upon', 'it')], current)]);
  world.run(3000);
  world.until('a member leads', () => world.leader() !== null);
  write(world, 3);
  world.until('all agree', () => agree(world));
  expect(world.member('m-1').store.uid).toBe(6);
  for (const { frames } of world.nodes) expectOneChain(frames);
});

test('after the highest epoch that can be written nobody promises one above it, and says what to do', () => {
  const world = running();
  const epoch = { generation: 0, number: Number.MAX_SAFE_INTEGER, nonce: 'last' };
  const { position, identity } = { position: world.member('m-1').log.position(), identity: 'm-1_uid_x' };
  const disk = { incarnation: '', baseIndex: 0 };
  const report = {
    kind: 'report',
    clusterId: '',
    identity,
    ...disk,
    promise: epoch,
    position,
    eligible: false,
    synced: false,
    round: 0,
  } as const;
  for (const { pod } of world.nodes) world.tell(pod, { ...report, from: pod === 'm-1' ? 'm-2' : 'm-1' });
  world.run(20_000);
  for (const { pod, hardState } of world.nodes) {
    expect(epochSchema.safeParse(hardState.promise).success).toBe(true);
    expect(['NoEpochLeft', 'NoLeader']).toContain(phaseOf(world.member(pod)).reason);
  }
  expect(world.nodes.map(({ pod }) => phaseOf(world.member(pod)).reason)).toContain('NoEpochLeft');
});
