// The stream logic of production over the simulated JetStream, in virtual time: what each rule of the design (page 5, decisions 1 to 6) is for,
// and random bad days by the seed. Each test of a rule fails when the rule is taken out.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream } from '../../sidecar/ports.ts';
import type { JetStream } from '../../sidecar/stream/jetstream-port.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { framesAfter } from '../lib/sample-frames.ts';
import { SimJetStreamServer, type SimServerOptions } from '../lib/sim-jetstream.ts';
import { NotingReader, sampleStream, sampleSubject } from '../lib/stream-world.ts';
import { seededRandom, VirtualClock } from '../lib/virtual-clock.ts';

const never = new AbortController().signal;
const log = pino({ level: 'silent' });

class World {
  readonly clock = new VirtualClock();
  readonly server: SimJetStreamServer;

  constructor(options: Partial<SimServerOptions> & { readonly seed?: number } = {}) {
    this.server = new SimJetStreamServer({ clock: this.clock, random: seededRandom(options.seed ?? 1), ...options });
    this.server.create();
  }

  open(jetstream: JetStream = this.server.open()): LogStream {
    return createLogStream({ jetstream, stream: sampleStream, subject: sampleSubject, mayCreate: true, clock: this.clock, sha256, log });
  }

  read(stream: LogStream, afterSeq = 0, hash = ''): NotingReader {
    const reader = new NotingReader();
    stream.read(afterSeq, hash, reader.onEvent, reader.room);
    return reader;
  }

  async publish(stream: LogStream, frames: readonly Frame[], afterSeq = 0): Promise<void> {
    for (const [at, frame] of frames.entries())
      expect(await this.clock.get(stream.publish(frame, afterSeq + at, never))).toEqual({ kind: 'stored', seq: afterSeq + at + 1 });
  }

  textAt(seq: number): string {
    return Buffer.from(this.server.content?.message(seq) ?? []).toString();
  }
}

const textOf = (frame: Frame | undefined): string => Buffer.from(frame?.bytes ?? []).toString();
const [first, second, third] = framesAfter(null, 3) as [Frame, Frame, Frame];
const [rival] = framesAfter(null, 1, 'rival') as [Frame];

describe('one frame is under way (decision 1)', () => {
  test('a second one is refused until the outcome of the first is known (I3)', async () => {
    const world = new World();
    const stream = world.open();
    const outcome = stream.publish(first, 0, never);
    await expect(stream.publish(second, 1, never)).rejects.toThrow('under way');
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
    const world = new World({ replicas: 3, delayMs: 8000 });
    const stream = world.open();
    for (const fate of fates) world.server.faults.script('send', ...fate);
    await world.publish(stream, [first, second]);
    await world.clock.pass(20_000);
    expect(world.server.content?.ends).toEqual({ firstSeq: 1, lastSeq: 2 });
  });

  test('another frame that took its place is a conflict, whichever answer is lost (I3)', async () => {
    const world = new World();
    const [stream, other] = [world.open(), world.open()];
    await world.publish(other, [rival]);
    world.server.faults.script('send', 'answerLost');
    expect(await world.clock.get(stream.publish(first, 0, never))).toEqual({ kind: 'conflict', lastSeq: 1 });
    await world.clock.pass(20_000);
    expect(world.server.content?.ends.lastSeq).toBe(1);
  });

  test('a read by a server that led before is no evidence against it', async () => {
    const world = new World();
    const stream = world.open();
    await world.publish(stream, [first, second]);
    world.server.faults.script('send', 'answerLost');
    // The look at the place of the frame finds nothing, and the last sequence is asked of another server.
    world.server.faults.script('call', 'stale');
    await world.publish(stream, [third], 2);
  });

  test('an acknowledgement for another sequence than the expected one proves nothing', async () => {
    const world = new World();
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
    const world = new World();
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
      const world = new World();
      const stream = world.open();
      await world.publish(stream, [first, second, third]);
      world.server.faults.script('delivery');
      world.server.faults.script('delivery', fault);
      const reader = world.read(stream);
      await world.clock.until(() => reader.seqs.includes(3), 2000);
      expect(reader.seqs).toEqual([1, 2, 3]);
    },
  );

  test('while there is no room it is not taken for stalled', async () => {
    const world = new World();
    const stream = world.open();
    await world.publish(stream, framesAfter(null, 300));
    const slow = new NotingReader();
    const release = slow.hold();
    world.open().read(0, '', slow.onEvent, slow.room);
    await world.clock.until(() => slow.seqs.length === 256);
    await world.clock.pass(30_000);
    expect(slow.seqs).toHaveLength(256);
    release();
    await world.clock.until(() => slow.seqs.length === 300);
  });
});

describe('each sequence is checked (decision 5)', () => {
  test('a purge beyond a reader that waits for room is told, and no message is skipped without it', async () => {
    const world = new World();
    const stream = world.open();
    await world.publish(stream, framesAfter(null, 300));
    const slow = new NotingReader();
    const release = slow.hold();
    world.open().read(0, '', slow.onEvent, slow.room);
    await world.clock.until(() => slow.seqs.length === 256);
    world.server.purge(290);
    release();
    await world.clock.until(() => slow.seqs.includes(300));
    expect(slow.kinds).not.toContain('restarted');
    const told = slow.events.slice(slow.events.findIndex(({ kind }) => kind === 'purged'));
    expect(told[0]).toEqual({ kind: 'purged', firstSeq: 290 });
    expect(told.flatMap((event) => (event.kind === 'frame' ? [event.seq] : []))).toEqual([
      290, 291, 292, 293, 294, 295, 296, 297, 298, 299, 300,
    ]);
  });

  test('a purge between the look at the ends and the first message is told', async () => {
    const world = new World();
    const stream = world.open();
    const frames = framesAfter(null, 6);
    await world.publish(stream, frames);
    const reader = new NotingReader();
    // The consumer starts late: all that it finds at its place is gone by then.
    world.server.faults.script('call');
    world.server.faults.script('call');
    world.server.faults.script('call', 'requestLost');
    stream.read(2, frames[1]?.hash ?? '', reader.onEvent, reader.room);
    await world.clock.until(() => reader.kinds.includes('connected'));
    world.server.purge(5);
    await world.clock.until(() => reader.seqs.includes(6));
    expect(reader.seqs).toEqual([5, 6]);
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 5 });
    expect(reader.kinds).not.toContain('restarted');
  });

  test('a sequence that jumps behind a message that was just seen again is told', async () => {
    const world = new World();
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
      { kind: 'frame', seq: 10 },
    ]);
  });

  test('a reader from the first message is told that it is not the first there was', async () => {
    const world = new World();
    const stream = world.open();
    await world.publish(stream, [first, second, third]);
    world.server.purge(2);
    const reader = world.read(stream);
    await world.clock.until(() => reader.seqs.includes(3));
    expect(reader.events).toContainEqual({ kind: 'purged', firstSeq: 2 });
    expect(reader.seqs).toEqual([2, 3]);
  });

  test('sequences that are used again below a consumer that lives on are found while nothing comes', async () => {
    const world = new World({ replicas: 3 });
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
});

describe('a purge gives up no more than it should (decision 6)', () => {
  async function filled(): Promise<{ world: World; stream: LogStream; reader: NotingReader }> {
    const world = new World();
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
