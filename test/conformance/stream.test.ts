// The contract of the log stream, held on real nats-servers and on the simulated one.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { LogStream } from '../../sidecar/ports.ts';
import { eventually } from '../lib/eventually.ts';
import { frameAfter, framesAfter, put } from '../lib/sample-frames.ts';
import { natsServers, NotingReader, simServers, withinMs, type StreamServers, type StreamWorld } from '../lib/stream-world.ts';

const never = new AbortController().signal;

const textOf = (frame: Frame | undefined): string => Buffer.from(frame?.bytes ?? []).toString();

async function publishAll(stream: LogStream, frames: readonly Frame[], afterSeq: number): Promise<void> {
  for (const [at, frame] of frames.entries()) {
    expect(await stream.publish(frame, afterSeq + at, never)).toEqual({ kind: 'stored', seq: afterSeq + at + 1 });
  }
}

describe.each([
  ['on a real nats-server', () => natsServers(1)],
  ['on three real nats-servers', () => natsServers(3)],
  ['on a simulated server', () => simServers(1)],
  ['on three simulated servers', () => simServers(3)],
])('a log stream %s', (_, makeServers) => {
  let servers: StreamServers;
  let world: StreamWorld;
  let stream: LogStream;

  beforeAll(async () => {
    servers = await makeServers();
  });
  afterAll(() => servers.drop());
  beforeEach(async () => {
    world = await servers.world();
    stream = world.open(true);
  });
  afterEach(() => world.drop());

  /** The stream exists and holds these frames. */
  async function fill(frames: readonly Frame[]): Promise<NotingReader> {
    const reader = new NotingReader();
    stream.read(reader.onEvent, reader.room);
    await reader.until(() => {
      expect(reader.kinds).toContain('connected');
    });
    await publishAll(stream, frames, 0);
    await reader.until(() => {
      expect(reader.seqs).toHaveLength(frames.length);
    });
    return reader;
  }

  test('is created by a member, stores each frame one after the other and delivers them in order, byte for byte', async () => {
    const frames = framesAfter(null, 5);
    const reader = await fill(frames);
    expect(reader.seqs).toEqual([1, 2, 3, 4, 5]);
    expect(frames.map((_frame, at) => reader.text(at + 1))).toEqual(frames.map(textOf));
    expect(await stream.lastSeq()).toBe(5);
  });

  test('delivers one batch, and more only when there is room', async () => {
    const frames = framesAfter(null, 300);
    await fill(frames);
    const slow = new NotingReader();
    const release = slow.hold();
    world.open(true).read(slow.onEvent, slow.room);
    await slow.until(() => {
      expect(slow.seqs).toHaveLength(256);
    });
    await publishAll(stream, framesAfter(frames.at(-1) ?? null, 20), 300);
    expect(slow.seqs).toHaveLength(256);
    release();
    await slow.until(() => {
      expect(slow.seqs).toHaveLength(320);
    });
  });

  test('takes the next frame at once when the one before it was given up', async () => {
    const [first, second] = [framesAfter(null, 1, 'a')[0], framesAfter(null, 1, 'b')[0]];
    if (first === undefined || second === undefined) throw new Error('no frames');
    await fill([]);
    await world.stop();
    const giveUp = new AbortController();
    const given = stream.publish(first, 0, giveUp.signal);
    giveUp.abort();
    const taken = stream.publish(second, 0, never);
    expect((await given).kind).toBe('unknown');
    await world.start();
    // What was given up may have been on its way.
    expect(['stored', 'conflict']).toContain((await taken).kind);
  });

  test('is not created by a replica, which waits for it (I4)', async () => {
    const replica = world.open(false);
    const reader = new NotingReader();
    replica.read(reader.onEvent, reader.room);
    await reader.until(() => {
      expect(reader.kinds).toContain('disconnected');
    });
    await expect(replica.lastSeq()).rejects.toMatchObject({ code: 'stream_unavailable' });
    await fill(framesAfter(null, 2));
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2]);
    });
  });

  test('refuses a frame that expects less or more than the last sequence (I3)', async () => {
    const frames = framesAfter(null, 3);
    await fill(frames);
    const [other] = framesAfter(null, 1, 'other');
    if (other === undefined) throw new Error('no frame');
    for (const expected of [0, 2, 4, 1000]) {
      expect(await stream.publish(other, expected, never)).toEqual({ kind: 'conflict', lastSeq: 3 });
    }
    expect(await stream.lastSeq()).toBe(3);
  });

  test('stores a frame once when its acknowledgement is lost', async () => {
    const frames = framesAfter(null, 3);
    await fill(frames.slice(0, 2));
    world.loseNextAnswer();
    await publishAll(stream, frames.slice(2), 2);
    expect(await stream.lastSeq()).toBe(3);
  });

  test('stores a frame that was lost on its way', async () => {
    const frames = framesAfter(null, 3);
    await fill(frames.slice(0, 2));
    world.loseNextFrame();
    await publishAll(stream, frames.slice(2), 2);
    expect(await stream.lastSeq()).toBe(3);
  });

  test('tells a conflict when another frame took the place of one that was lost on its way (I3)', async () => {
    const frames = framesAfter(null, 3);
    await fill(frames.slice(0, 2));
    const [rival] = framesAfter(frames[1] ?? null, 1, 'rival');
    const other = world.open(true);
    await eventually(async () => {
      expect(await other.lastSeq()).toBe(2);
    }, withinMs);
    world.loseNextFrame();
    const outcome = stream.publish(frames[2] as Frame, 2, never);
    expect(await other.publish(rival as Frame, 2, never)).toEqual({ kind: 'stored', seq: 3 });
    expect(await outcome).toEqual({ kind: 'conflict', lastSeq: 3 });
  });

  test('leaves the outcome unknown when the caller gives up during an outage, and takes the next frame after it', async () => {
    const frames = framesAfter(null, 3);
    await fill(frames.slice(0, 2));
    await world.stop();
    const giveUp = new AbortController();
    const outcome = stream.publish(frames[2] as Frame, 2, giveUp.signal);
    giveUp.abort();
    expect(await outcome).toEqual({ kind: 'unknown' });
    await expect(stream.lastSeq()).rejects.toMatchObject({ code: 'stream_unavailable' });
    await world.start();
    await publishAll(stream, frames.slice(2), 2);
  });

  test('gives up what lies below a sequence that its reader has verified, and nothing else', async () => {
    const frames = framesAfter(null, 5);
    const reader = await fill(frames.slice(0, 4));
    expect(await stream.purge(5)).toEqual({ kind: 'refused', verifiedSeq: 4 });
    expect(await stream.purge(4)).toEqual({ kind: 'purged' });
    await publishAll(stream, frames.slice(4), 4);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4, 5]);
    });
    const later = new NotingReader();
    world.open(true).read(later.onEvent, later.room);
    await later.until(() => {
      expect(later.seqs).toEqual([4, 5]);
    });
    expect(later.events).toContainEqual({ kind: 'purged', firstSeq: 4 });
    expect([...reader.kinds, ...later.kinds]).not.toContain('restarted');
  });

  test('tells a reader that follows when the stream lost its end and its sequences are used again', async () => {
    const frames = framesAfter(null, 5);
    await fill(frames.slice(0, 3));
    await world.save();
    const reader = new NotingReader();
    stream.read(reader.onEvent, reader.room);
    await publishAll(stream, frames.slice(3), 3);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4, 5]);
    });
    await world.restore();
    const others = framesAfter(frames[2] ?? null, 3, 'other');
    await publishAll(world.open(true), others, 3);
    await reader.until(() => {
      expect(reader.kinds).toContain('restarted');
      expect(reader.seqs).toEqual([1, 2, 3, 4, 5, 6]);
      expect(reader.text(4)).toBe(textOf(others[0]));
    });
  });

  test('tells a reader that follows when the stream is deleted and made anew', async () => {
    const reader = await fill(framesAfter(null, 3));
    await world.remove();
    const others = framesAfter(null, 4, 'other');
    await reader.until(() => {
      expect(reader.kinds).toContain('restarted');
    });
    await publishAll(stream, others, 0);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4]);
      expect(reader.text(1)).toBe(textOf(others[0]));
    });
  });

  test('tells an outage and its end, and delivers what came later without a gap and nothing twice', async () => {
    const frames = framesAfter(null, 6);
    const reader = await fill(frames.slice(0, 3));
    await world.stop();
    await reader.until(() => {
      expect(reader.kinds.at(-1)).toBe('disconnected');
    });
    await world.start();
    await publishAll(stream, frames.slice(3), 3);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4, 5, 6]);
    });
    // Each new reason of an outage is told: several in a row are one outage.
    const links = reader.kinds.filter((kind) => kind !== 'message');
    expect(links.filter((kind, at) => kind !== links[at - 1]).slice(-3)).toEqual(['connected', 'disconnected', 'connected']);
  });

  test('tells only the newest reading', async () => {
    const frames = framesAfter(null, 4);
    const reader = await fill(frames.slice(0, 2));
    const second = new NotingReader();
    stream.read(second.onEvent, second.room);
    await publishAll(stream, frames.slice(2), 2);
    await second.until(() => {
      expect(second.seqs).toEqual([1, 2, 3, 4]);
    });
    expect(reader.seqs).toEqual([1, 2]);
  });

  test('takes a frame of the greatest size', async () => {
    const large = frameAfter(null, [put('a', 'x'.repeat(500_000)), put('b', 'x'.repeat(500_000))]);
    const reader = await fill([large]);
    expect(reader.text(1)).toBe(textOf(large));
  });
});
