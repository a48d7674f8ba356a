// The stream logic of production over the simulated JetStream, in virtual time: gaps in the sequence, purges, and streams that lost something
// (page 5, decisions 5 and 6). Each test of a rule fails when the rule is taken out.
import { describe, expect, test } from '@jest/globals';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { LogStream } from '../../sidecar/ports.ts';
import { framesAfter } from '../lib/sample-frames.ts';
import { SimStreamWorld, textOf } from '../lib/sim-stream-world.ts';
import { NotingReader } from '../lib/stream-world.ts';

const [first, second, third] = framesAfter(null, 3) as [Frame, Frame, Frame];
const [rival] = framesAfter(null, 1, 'rival') as [Frame];

describe('each sequence is checked (decision 5)', () => {
  test('a purge beyond a reader that waits for room is told, and no message is skipped without it', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    await world.publish(stream, framesAfter(null, 300));
    const slow = new NotingReader();
    const release = slow.hold();
    world.open().read(slow.onEvent, slow.room);
    await world.clock.until(() => slow.seqs.length === 256);
    world.server.purge(290);
    release();
    await world.clock.until(() => slow.seqs.includes(300));
    expect(slow.kinds).not.toContain('restarted');
    const told = slow.events.slice(slow.events.findIndex(({ kind }) => kind === 'purged'));
    expect(told[0]).toEqual({ kind: 'purged', firstSeq: 290 });
    expect(told.flatMap((event) => (event.kind === 'message' ? [event.seq] : []))).toEqual([
      290, 291, 292, 293, 294, 295, 296, 297, 298, 299, 300,
    ]);
  });

  test('a purge between the look at the ends and the first message is told', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    const frames = framesAfter(null, 6);
    await world.publish(stream, frames);
    const reader = new NotingReader();
    // The consumer starts late: all that it finds at its place is gone by then.
    world.server.faults.script('call');
    world.server.faults.script('call');
    world.server.faults.script('call', 'requestLost');
    stream.read(reader.onEvent, reader.room);
    await world.clock.until(() => reader.kinds.includes('connected'));
    world.server.purge(5);
    await world.clock.until(() => reader.seqs.includes(6));
    expect(reader.seqs).toEqual([5, 6]);
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 5 });
    expect(reader.kinds).not.toContain('restarted');
  });

  test('a sequence that jumps behind a message that was just seen again is told', async () => {
    const world = new SimStreamWorld();
    const jetstream = world.server.open();
    const stream = world.open(jetstream);
    const reader = world.read(stream);
    await world.publish(stream, [first, second]);
    await world.clock.until(() => reader.seqs.length === 2);
    jetstream.lose('the connection to NATS was lost');
    await world.clock.pass(2000);
    world.server.purge(10);
    await world.publish(stream, [third], 9);
    await world.clock.until(() => reader.seqs.includes(10));
    expect(reader.events.slice(-2)).toMatchObject([
      { kind: 'purged', firstSeq: 10 },
      { kind: 'message', seq: 10 },
    ]);
  });

  test('an end that is lost between the look at a purged stream and the consumer is told', async () => {
    const world = new SimStreamWorld({ delayMs: 1000 });
    const [stream, other] = [world.open(), world.open()];
    await world.publish(other, [first]);
    world.server.purge(4);
    world.server.faults.script('call', 'answerDelayed');
    const reader = world.read(stream);
    await world.clock.pass(10);
    world.server.loseEnd(1);
    await world.clock.until(() => reader.kinds.includes('purged'));
    await world.publish(other, [first, second, third], 1);
    await world.clock.until(() => reader.kinds.includes('restarted'));
    await world.clock.until(() => reader.seqs.slice(-3).join() === '2,3,4');
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 2 });
  });

  test('a reader from the first message is told that it is not the first there was', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    await world.publish(stream, [first, second, third]);
    world.server.purge(2);
    const reader = world.read(stream);
    await world.clock.until(() => reader.seqs.includes(3));
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 2 });
    expect(reader.seqs).toEqual([2, 3]);
  });

  test('a stream that lost what was left after a purge, and filled up to the same sequence, is found while nothing comes', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    await world.publish(stream, [first, second, third]);
    world.server.purge(4);
    const reader = world.read(stream);
    await world.clock.until(() => reader.kinds.includes('connected'));
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 4 });
    world.server.loseEnd(2, true);
    await world.publish(world.open(), [rival], 2);
    await world.clock.until(() => reader.seqs.includes(3), 12_000);
    expect(reader.kinds).toContain('restarted');
  });

  test('sequences that are used again below a consumer that lives on are found while nothing comes', async () => {
    const world = new SimStreamWorld({ replicas: 3 });
    const stream = world.open();
    const reader = world.read(stream);
    await world.publish(stream, [first, second, third]);
    await world.clock.until(() => reader.seqs.length === 3);
    world.server.loseEnd(0, true);
    await world.publish(world.open(), [rival]);
    await world.clock.until(() => reader.kinds.includes('restarted'), 12_000);
    await world.clock.until(() => reader.seqs.length === 1);
    expect(reader.text(1)).toBe(textOf(rival));
  });

  test.each([
    ['that lives on', true],
    ['that ends with it', false],
  ])(
    'the same frame behind others, under its sequence again, is not taken for what was read, by a reader with a consumer %s (I2)',
    async (_, livesOn) => {
      const world = new SimStreamWorld();
      const stream = world.open();
      const reader = world.read(stream);
      await world.publish(stream, [first, second, third]);
      await world.clock.until(() => reader.seqs.length === 3);
      world.server.loseEnd(1, livesOn);
      // Who fills the end again has it from another journal, and the frame between is another one.
      await world.publish(world.open(), [rival, third], 1);
      await world.clock.until(() => reader.kinds.includes('restarted'), 12_000);
      await world.clock.until(() => reader.seqs.length === 3);
      expect(reader.text(2)).toBe(textOf(rival));
    },
  );

  test('another message at the place is found before what follows it is read (I2)', async () => {
    const world = new SimStreamWorld();
    const stream = world.open();
    const reader = world.read(stream);
    await world.publish(stream, [first, second, third]);
    await world.clock.until(() => reader.seqs.length === 3);
    world.server.loseEnd(1);
    await world.publish(world.open(), [rival, third, ...framesAfter(third, 1)], 1);
    await world.clock.until(() => reader.seqs.includes(4), 4000);
    expect(reader.kinds).toContain('restarted');
    await world.clock.until(() => reader.seqs.length === 4);
    expect(reader.text(2)).toBe(textOf(rival));
  });
});

describe('a purge gives up no more than it should (decision 6)', () => {
  async function filled(): Promise<{ world: SimStreamWorld; stream: LogStream; reader: NotingReader }> {
    const world = new SimStreamWorld();
    const stream = world.open();
    const reader = world.read(stream);
    await world.publish(stream, [first, second, third]);
    await world.clock.until(() => reader.seqs.length === 3);
    return { world, stream, reader };
  }

  test('one that reaches beyond what was read is refused, and nothing is done', async () => {
    const { world, stream } = await filled();
    expect(await world.clock.get(stream.purge(4))).toEqual({ kind: 'refused', verifiedSeq: 3 });
    expect(world.server.content?.ends).toEqual({ firstSeq: 1, lastSeq: 3 });
    const blind = world.open();
    await world.clock.pass(1000);
    expect(await world.clock.get(blind.purge(1))).toEqual({ kind: 'refused', verifiedSeq: 0 });
  });

  test('one on a stream that lost its end is refused, though its reader has not seen that yet', async () => {
    const { world, stream } = await filled();
    world.server.loseEnd(1);
    expect(await world.clock.get(stream.purge(3))).toEqual({ kind: 'refused', verifiedSeq: 0 });
    expect(world.server.content?.ends).toEqual({ firstSeq: 1, lastSeq: 1 });
  });

  test('one that arrives when the stream has lost its end does not move the sequence', async () => {
    const { world, stream } = await filled();
    world.server.faults.script('call');
    world.server.faults.script('call', 'requestDelayed');
    await expect(world.clock.get(stream.purge(3))).rejects.toMatchObject({ code: 'stream_unavailable' });
    world.server.loseEnd(1);
    await world.clock.pass(20_000);
    expect(world.server.content?.ends).toEqual({ firstSeq: 2, lastSeq: 1 });
    await world.publish(world.open(), [rival], 1);
  });

  test('what is left is read and published to as before', async () => {
    const { world, stream, reader } = await filled();
    expect(await world.clock.get(stream.purge(3))).toEqual({ kind: 'purged' });
    expect(world.server.content?.ends).toEqual({ firstSeq: 3, lastSeq: 3 });
    await world.publish(stream, framesAfter(third, 1), 3);
    await world.clock.until(() => reader.seqs.length === 4);
    expect(reader.kinds).not.toContain('restarted');
  });
});
