// The stream logic of production over the simulated JetStream, in virtual time: what the rules of the design on publishing and on consumers
// (page 5, decisions 1, 3 and 4) are for. Each test of a rule fails when the rule is taken out.
import { describe, expect, test } from '@jest/globals';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { JetStream } from '../../sidecar/stream/jetstream-port.ts';
import { framesAfter } from '../lib/sample-frames.ts';
import type { SimJetStreamServer } from '../lib/sim-jetstream.ts';
import { SimStreamWorld, textOf } from '../lib/sim-stream-world.ts';
import { NotingReader } from '../lib/stream-world.ts';

const never = new AbortController().signal;
const [first, second, third] = framesAfter(null, 3) as [Frame, Frame, Frame];
const [rival] = framesAfter(null, 1, 'rival') as [Frame];

describe('one frame is under way (decision 1)', () => {
  test('a second one is refused until the outcome of the first is known (I3)', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    const outcome = stream.publish(first, 0, never);
    await expect(world.clock.get(stream.publish(second, 1, never))).rejects.toThrow('under way');
    expect(await world.clock.get(outcome)).toEqual({ kind: 'stored', seq: 1 });
    await world.publish(stream, [second], 1);
  });
});

describe('an outcome that is not known is found out (decision 3)', () => {
  test.each([
    ['the request is lost', [['requestLost']]],
    ['the answer is lost', [['answerLost']]],
    ['the request comes after the frame was sent again', [['requestDelayed'], []]],
    ['the request comes twice, the second time much later', [['requestDuplicated']]],
    ['the answer comes late and twice', [['answerDelayed', 'answerDuplicated']]],
    ['nobody leads, twice', [['refused'], ['refused']]],
    ['nobody leads while the attempt before is under way', [['underWay'], ['refused'], ['refused']]],
    ['the answers to all attempts are lost', [['answerLost'], ['answerLost'], ['answerLost'], ['answerLost']]],
    ['the leader changes while it is under way', [['dropped']]],
  ] as const)('when %s: stored once (I3, I8)', async (_name, fates) => {
    const world = new SimStreamWorld({ replicas: 3, delayMs: 8000 });
    const stream = world.open();
    for (const fate of fates) world.server.faults.script('send', ...fate);
    await world.publish(stream, [first, second]);
    await world.clock.pass(20_000);
    expect(world.server.content?.ends).toEqual({ firstSeq: 1, lastSeq: 2 });
  });

  test('another frame that took its place is a conflict, whichever answer is lost (I3)', async () => {
    const world = new SimStreamWorld();
    const [stream, other] = [world.open(), world.open()];
    await world.publish(other, [rival]);
    world.server.faults.script('send', 'answerLost');
    expect(await world.clock.get(stream.publish(first, 0, never))).toEqual({ kind: 'conflict', lastSeq: 1 });
    await world.clock.pass(20_000);
    expect(world.server.content?.ends.lastSeq).toBe(1);
  });

  test('a read by a server that led before is no evidence against it', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    await world.publish(stream, [first, second]);
    world.server.faults.script('send', 'answerLost');
    // The look at the place of the frame finds nothing, and the last sequence is asked of another server.
    world.server.faults.script('call', 'stale');
    await world.publish(stream, [third], 2);
  });

  test('a frame that the stream will never take is an error of the configuration, and the next one is taken', async () => {
    const world = new SimStreamWorld({ maxMessageBytes: first.bytes.length });
    const stream = world.open();
    const [large] = framesAfter(null, 1, 'a much longer name') as [Frame];
    await expect(world.clock.get(stream.publish(large, 0, never))).rejects.toMatchObject({ code: 'invalid_configuration' });
    await world.publish(stream, [first]);
  });

  test('an acknowledgement for another sequence than the expected one proves nothing', async () => {
    const world = new SimStreamWorld();
    const real = world.server.open();
    // A stream of the same name in another place takes the same subject, and its answer comes first.
    const twin: JetStream = {
      get state() {
        return real.state;
      },
      onState: (listener) => real.onState(listener),
      onAnswer(listener) {
        real.onAnswer((token, answer) => {
          listener(token, { kind: 'stored', seq: 41 });
          listener(token, answer);
        });
      },
    };
    const stream = world.open(twin);
    world.server.faults.script('send', 'requestLost');
    world.server.faults.script('send', 'refused');
    expect(await world.clock.get(stream.publish(first, 0, never))).toEqual({ kind: 'stored', seq: 1 });
    expect(world.textAt(1)).toBe(textOf(first));
  });
});

describe('a consumer that brings nothing is given up (decision 4)', () => {
  test.each([
    ['stalls without a word', (server: SimJetStreamServer) => server.stallConsumers()],
    ['is forgotten without a word', (server: SimJetStreamServer) => server.forgetConsumers(null)],
    ['is deleted', (server: SimJetStreamServer) => server.forgetConsumers(409)],
  ])('when it %s, within two seconds, and nothing is read again', async (_name, harm) => {
    const world = new SimStreamWorld();
    const stream = world.open();
    const reader = world.read(stream);
    await world.publish(stream, [first, second]);
    await world.clock.until(() => reader.seqs.length === 2);
    harm(world.server);
    await world.publish(stream, [third], 2);
    await world.clock.until(() => reader.seqs.length === 3, 2000);
    expect(reader.seqs).toEqual([1, 2, 3]);
    expect(reader.kinds).not.toContain('restarted');
  });

  test.each(['deliveryLost', 'deliveryDuplicated'] as const)(
    'when its own sequence tells a fault (%s): each frame once and in order',
    async (fault) => {
      const world = new SimStreamWorld();
      const stream = world.open();
      const reader = world.read(stream);
      await world.publish(stream, [first]);
      await world.clock.until(() => reader.seqs.length === 1);
      world.server.forgetConsumers(null);
      // Right behind the message that is looked at again, a gap would else pass for a purge.
      world.server.faults.script('delivery');
      world.server.faults.script('delivery', fault);
      await world.publish(world.open(), [second, third], 1);
      await world.clock.until(() => reader.seqs.includes(3), 4000);
      expect(reader.seqs).toEqual([1, 2, 3]);
      expect(reader.kinds).not.toContain('purged');
    },
  );

  test('while there is no room it is not taken for stalled', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    await world.publish(stream, framesAfter(null, 300));
    const slow = new NotingReader();
    const release = slow.hold();
    world.open().read(slow.onEvent, slow.room);
    await world.clock.until(() => slow.seqs.length === 256);
    await world.clock.pass(30_000);
    expect(slow.seqs).toHaveLength(256);
    release();
    await world.clock.until(() => slow.seqs.length === 300);
  });
});
