// What a JetStream server does with the calls that the log is made of: the same on real servers and on the simulated one.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type {
  Answer,
  ConsumerSign,
  JetStream,
  JetStreamConnection,
  PullConsumer,
  StoredMessage,
} from '../../sidecar/stream/jetstream-port.ts';
import { eventually } from '../lib/eventually.ts';
import { natsServers, simServers, withinMs, type StreamServers, type StreamWorld } from '../lib/stream-world.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (message: StoredMessage | null): string | null => (message === null ? null : new TextDecoder().decode(message.bytes));
const wrongLastSequence = [10071, 10164];

describe.each([
  ['a real nats-server', () => natsServers(1)],
  ['three real nats-servers', () => natsServers(3)],
  ['a simulated server', () => simServers(1)],
  ['three simulated servers', () => simServers(3)],
])('the stream on %s', (_, makeServers) => {
  let servers: StreamServers;
  let world: StreamWorld;
  let jetstream: JetStream;
  let server: JetStreamConnection;
  const answers = new Map<number, Answer>();
  let token = 0;

  beforeAll(async () => {
    servers = await makeServers();
  });
  afterAll(() => servers.drop());
  beforeEach(async () => {
    world = await servers.world();
    jetstream = world.openJetStream();
    answers.clear();
    jetstream.onAnswer((to, answer) => answers.set(to, answer));
    await eventually(async () => {
      if (jetstream.state.kind === 'disconnected') throw new Error(jetstream.state.reason);
      server = jetstream.state.connection;
      await server.ends();
    }, withinMs);
  });
  afterEach(() => world.drop());

  function send(text: string, expectedSeq: number): number {
    token += 1;
    server.send(world.subject, encode(text), expectedSeq, token);
    return token;
  }

  async function answerTo(sent: number): Promise<Answer | undefined> {
    await eventually(() => {
      expect(answers.has(sent)).toBe(true);
    }, withinMs);
    return answers.get(sent);
  }

  /** A stream with these messages. */
  async function fill(...texts: readonly string[]): Promise<void> {
    // Three servers have to agree who leads the new stream.
    await eventually(async () => {
      await server.create();
      expect(await server.ends()).not.toBeNull();
    }, withinMs);
    for (const [at, text] of texts.entries()) expect(await answerTo(send(text, at))).toEqual({ kind: 'stored', seq: at + 1 });
  }

  async function consumer(startSeq: number): Promise<{ pulls: PullConsumer; signs: ConsumerSign[] }> {
    const signs: ConsumerSign[] = [];
    const pulls = await server.consume(startSeq, (sign) => signs.push(sign));
    pulls.pull();
    return { pulls, signs };
  }

  const seqsOf = (signs: readonly ConsumerSign[]): number[][] =>
    signs.flatMap((sign) => (sign.kind === 'message' ? [[sign.streamSeq, sign.consumerSeq]] : []));
  const codesOf = (signs: readonly ConsumerSign[]): number[] => signs.flatMap((sign) => (sign.kind === 'status' ? [sign.code] : []));

  test('is not there before it is made, and nobody takes a message for it', async () => {
    expect(await server.ends()).toBeNull();
    expect(await answerTo(send('a', 0))).toMatchObject({ kind: 'refused', code: 503 });
    await expect(server.message(1)).rejects.toMatchObject({ code: 'stream_unavailable' });
    await expect(server.consume(1, () => undefined)).rejects.toMatchObject({ code: 'stream_unavailable' });
  });

  test('numbers its messages from 1 and gives each back', async () => {
    await fill();
    expect(await server.ends()).toEqual({ firstSeq: 0, lastSeq: 0 });
    await fill('a', 'b');
    expect(await server.ends()).toEqual({ firstSeq: 1, lastSeq: 2 });
    expect([decode(await server.message(1)), decode(await server.message(2)), await server.message(3)]).toEqual(['a', 'b', null]);
    await server.create();
    expect(await server.ends()).toEqual({ firstSeq: 1, lastSeq: 2 });
  });

  test('refuses a message behind any sequence but the last; predicted sequences are no fence (I3)', async () => {
    await fill('theirs');
    const ours = [send('first', 0), send('second', 1), send('third', 2)];
    const [first, ...others] = await Promise.all(ours.map((sent) => answerTo(sent)));
    expect(wrongLastSequence).toContain(first?.kind === 'refused' ? first.code : 0);
    // Each is satisfied by the one before it, though the first was refused: this is why one frame is under way at a time.
    expect(others).toEqual([
      { kind: 'stored', seq: 2 },
      { kind: 'stored', seq: 3 },
    ]);
  });

  test('is purged below a sequence, and never moves its last one', async () => {
    await fill('a', 'b', 'c');
    await server.purge(world.subject, 3);
    expect(await server.ends()).toEqual({ firstSeq: 3, lastSeq: 3 });
    expect(await server.message(2)).toBeNull();
    await server.purge('cc.space.another', 9);
    expect(await server.ends()).toEqual({ firstSeq: 3, lastSeq: 3 });
    await server.purge(world.subject, 9);
    expect(await server.ends()).toEqual({ firstSeq: 4, lastSeq: 3 });
    expect(await answerTo(send('d', 3))).toEqual({ kind: 'stored', seq: 4 });
  });

  test('says of each message when it was stored, the same to all who ask, and another time of the same bytes that are stored again', async () => {
    await fill('a', 'a');
    const { signs } = await consumer(1);
    await eventually(() => {
      expect(seqsOf(signs)).toHaveLength(2);
    }, withinMs);
    const times = signs.flatMap((sign) => (sign.kind === 'message' ? [sign.message.storedAt] : []));
    expect(times).toEqual([(await server.message(1))?.storedAt, (await server.message(2))?.storedAt]);
    expect(new Set(times).size).toBe(2);
  });

  test('jumps when a person purges it beyond its end', async () => {
    await fill('a', 'b');
    await world.purge(9);
    expect(await server.ends()).toEqual({ firstSeq: 9, lastSeq: 8 });
    expect(await answerTo(send('c', 8))).toEqual({ kind: 'stored', seq: 9 });
  });

  test('skips what was purged without a word in what a consumer delivers', async () => {
    await fill('a', 'b', 'c', 'd');
    await server.purge(world.subject, 3);
    const { signs } = await consumer(1);
    await eventually(() => {
      expect(seqsOf(signs)).toEqual([
        [3, 1],
        [4, 2],
      ]);
    }, withinMs);
  });

  test('delivers nothing to a consumer that starts beyond its end until it has come so far, and beats and ends the pull', async () => {
    await fill('a');
    const { signs } = await consumer(3);
    expect(await answerTo(send('b', 1))).toEqual({ kind: 'stored', seq: 2 });
    await eventually(() => {
      expect(codesOf(signs)).toEqual([100, 100, 100, 100, 408]);
    }, withinMs);
    expect(await answerTo(send('c', 2))).toEqual({ kind: 'stored', seq: 3 });
    expect(seqsOf(signs)).toEqual([]);
  });

  test('ends a pull that has brought 8 MiB', async () => {
    await fill(...Array.from({ length: 9 }, (_text, at) => String(at).repeat(1_000_000)));
    const { pulls, signs } = await consumer(1);
    await eventually(() => {
      expect(codesOf(signs)).toEqual([409]);
    }, withinMs);
    expect(seqsOf(signs)).toHaveLength(8);
    pulls.pull();
    await eventually(() => {
      expect(seqsOf(signs).at(-1)).toEqual([9, 9]);
    }, withinMs);
  });

  test('tells a consumer that it was deleted, and refuses its next pull', async () => {
    await fill('a');
    const { pulls, signs } = await consumer(1);
    await eventually(() => {
      expect(seqsOf(signs)).toHaveLength(1);
    }, withinMs);
    expect(await world.removeConsumers()).toBe(1);
    await eventually(() => {
      expect(codesOf(signs)).toContain(409);
    }, withinMs);
    pulls.pull();
    await eventually(() => {
      expect(codesOf(signs)).toContain(503);
    }, withinMs);
  });

  test('stores a message of which the answer is lost', async () => {
    await fill('a');
    world.loseNextAnswer();
    const sent = send('b', 1);
    await eventually(async () => {
      expect((await (jetstream.state.kind === 'connected' ? jetstream.state.connection : server).ends())?.lastSeq).toBe(2);
    }, withinMs);
    expect(answers.has(sent)).toBe(false);
  });
});
