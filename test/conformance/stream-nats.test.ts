// What only a real nats-server can show of the log stream: servers that die, freeze, are slow, refuse, or are not there.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { LogStream } from '../../sidecar/ports.ts';
import { connectNats } from '../../sidecar/stream/connection.ts';
import { eventually } from '../lib/eventually.ts';
import { NatsAdmin } from '../lib/nats-admin.ts';
import { NatsProxy } from '../lib/nats-proxy.ts';
import { NatsServer, type NatsServerOptions } from '../lib/nats-server.ts';
import { frameAfter, framesAfter, put } from '../lib/sample-frames.ts';
import { NotingReader, openOnNats, sampleStream, withinMs } from '../lib/stream-world.ts';

const never = new AbortController().signal;
const closes: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closes.splice(0).toReversed()) await close();
});

async function startServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = await NatsServer.start(options);
  closes.push(() => server.drop());
  return server;
}

function open(url: string, options: { replicas?: number } = {}): { stream: LogStream; reader: NotingReader } {
  const opened = openOnNats(url, options);
  closes.push(opened.close);
  const reader = new NotingReader();
  opened.stream.read(reader.onEvent, reader.room);
  return { stream: opened.stream, reader };
}

const connected = (reader: NotingReader): Promise<void> =>
  reader.until(() => {
    expect(reader.kinds).toContain('connected');
  });

const oneTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

describe('a log stream whose servers fail', () => {
  test('waits for a server that is not there yet, says so, and begins when it is', async () => {
    const server = await NatsServer.create();
    closes.push(() => server.drop());
    const { stream, reader } = open(server.url);
    await reader.until(() => {
      expect(reader.reason).toContain('CONNECTION_REFUSED');
    });
    const frame = frameAfter(null, [put('a', 'x')]);
    const outcome = stream.publish(frame, 0, never);
    await server.run();
    expect(await outcome).toEqual({ kind: 'stored', seq: 1 });
    await reader.until(() => {
      expect(reader.seqs).toEqual([1]);
    });
  });

  test('keeps every frame once and in order while the server is killed again and again', async () => {
    const server = await startServer();
    const { stream, reader } = open(server.url);
    await connected(reader);
    const frames = framesAfter(null, 300);
    let published = 0;
    const publishing = (async () => {
      for (const frame of frames) {
        expect(await stream.publish(frame, published, never)).toEqual({ kind: 'stored', seq: published + 1 });
        published += 1;
      }
    })();
    for (const after of [50, 120, 200]) {
      await eventually(() => {
        expect(published).toBeGreaterThan(after);
      }, withinMs);
      await server.stop('SIGKILL');
      await server.run();
    }
    await publishing;
    await reader.until(() => {
      expect(reader.seqs).toEqual(oneTo(300));
    });
    expect(reader.kinds).not.toContain('restarted');
    expect(frames.map((_frame, at) => reader.text(at + 1))).toEqual(frames.map(({ bytes }) => Buffer.from(bytes).toString()));
  });

  test('gives a frozen server up, and goes on with it when it thaws', async () => {
    const server = await startServer();
    const { stream, reader } = open(server.url);
    await connected(reader);
    const [first, second] = framesAfter(null, 2) as [Frame, Frame];
    server.freeze();
    const outcomes = (async () => [await stream.publish(first, 0, never), await stream.publish(second, 1, never)])();
    await reader.until(() => {
      expect(reader.kinds.at(-1)).toBe('disconnected');
    });
    server.thaw();
    expect(await outcomes).toEqual([
      { kind: 'stored', seq: 1 },
      { kind: 'stored', seq: 2 },
    ]);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2]);
    });
  });

  test('reads on within two seconds when its consumer is taken away', async () => {
    const server = await startServer();
    const { stream, reader } = open(server.url);
    await connected(reader);
    const frames = framesAfter(null, 4);
    for (const [at, frame] of frames.slice(0, 2).entries()) await stream.publish(frame, at, never);
    expect(await new NatsAdmin(server.url, sampleStream).removeConsumers()).toBe(1);
    for (const [at, frame] of frames.slice(2).entries()) await stream.publish(frame, at + 2, never);
    await eventually(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4]);
    }, 2500);
    expect(reader.kinds).not.toContain('restarted');
  });

  test('takes an acknowledgement that comes later than the frame is sent again', async () => {
    const server = await startServer();
    const proxy = await NatsProxy.start(server.address);
    closes.push(() => proxy.close());
    const { stream, reader } = open(proxy.url);
    await connected(reader);
    const frame = frameAfter(null, [put('a', 'x')]);
    proxy.delayAnswers(1300);
    expect(await stream.publish(frame, 0, never)).toEqual({ kind: 'stored', seq: 1 });
    proxy.delayAnswers(0);
    expect(await open(server.url).stream.publish(frame, 5, never)).toEqual({ kind: 'conflict', lastSeq: 1 });
  });

  test('passes over messages that somebody deleted from its middle, without reading all again', async () => {
    const server = await startServer();
    const admin = new NatsAdmin(server.url, sampleStream);
    await admin.with((manager) => manager.streams.add({ name: sampleStream, subjects: ['cc.space.sample.log'] }));
    const { stream, reader } = open(server.url);
    await connected(reader);
    const frames = framesAfter(null, 5);
    for (const [at, frame] of frames.entries()) await stream.publish(frame, at, never);
    await reader.until(() => {
      expect(reader.seqs).toEqual([1, 2, 3, 4, 5]);
    });
    await admin.with((manager) => manager.streams.deleteMessage(sampleStream, 3));
    const later = open(server.url).reader;
    await later.until(() => {
      expect(later.seqs).toEqual([1, 2, 4, 5]);
    });
    expect(later.kinds).not.toContain('restarted');
  });
});

describe('a frame on its way', () => {
  test('sends the expected last sequence and no message id, which on three nodes can stop a stream for good (decision 2)', async () => {
    const server = await startServer();
    const { stream, reader } = open(server.url);
    await connected(reader);
    await stream.publish(frameAfter(null, [put('a', 'x')]), 0, never);
    const stored = await new NatsAdmin(server.url, sampleStream).with((manager) => manager.streams.getMessage(sampleStream, { seq: 1 }));
    expect(stored.header.keys()).toEqual(['Nats-Expected-Last-Sequence']);
  });
});

describe('a log stream whose servers refuse', () => {
  test('says that max_payload of the servers is too small', async () => {
    const server = await startServer({ maxPayloadBytes: 64 * 1024 });
    const { reader } = open(server.url);
    await reader.until(() => {
      expect(reader.reason).toContain('max_payload');
    });
  });

  test('rejects a frame that the stream will never take because of its size', async () => {
    const server = await startServer();
    const admin = new NatsAdmin(server.url, sampleStream);
    await admin.with((manager) => manager.streams.add({ name: sampleStream, subjects: ['cc.space.sample.log'], max_msg_size: 2000 }));
    const { stream, reader } = open(server.url);
    await connected(reader);
    const large = frameAfter(null, [put('a', 'x'.repeat(5000))]);
    await expect(stream.publish(large, 0, never)).rejects.toMatchObject({ code: 'invalid_configuration' });
    expect(await stream.publish(frameAfter(null, [put('a', 'x')]), 0, never)).toEqual({ kind: 'stored', seq: 1 });
  });

  test('reads its credentials anew for each attempt, and never shows them', async () => {
    const server = await startServer({ user: { name: 'member', password: 'rightpassword' } });
    const directory = await mkdtemp(join(tmpdir(), 'credentials-'));
    closes.push(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'username'), 'member\n');
    await writeFile(join(directory, 'password'), 'wrongpassword\n');
    const lines: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line) => lines.push(line) });
    const link = connectNats({ url: server.url, name: 'test', credentialsDirectory: directory, caFile: null, log });
    closes.push(() => link.close());
    await eventually(() => {
      expect(link.state).toMatchObject({ reason: 'NATS is not reachable (AUTHORIZATION_VIOLATION)' });
    }, withinMs);
    await writeFile(join(directory, 'password'), 'rightpassword\n');
    await eventually(() => {
      expect(link.state.kind).toBe('connected');
    }, withinMs);
    expect(lines.join('')).not.toMatch(/rightpassword|wrongpassword/);
  });
});

describe('a log stream on three servers', () => {
  test('loses nothing and reads on when the server that leads the stream, or holds the consumer, dies', async () => {
    const servers = await NatsServer.startCluster(3);
    closes.push(async () => {
      await Promise.all(servers.map((server) => server.drop()));
    });
    const { stream, reader } = open(servers.map(({ url }) => url).join(','), { replicas: 3 });
    await eventually(() => {
      expect(reader.kinds).toContain('connected');
    }, 2 * withinMs);
    const frames = framesAfter(null, 30);
    let published = 0;
    const publishing = (async () => {
      for (const frame of frames) {
        expect(await stream.publish(frame, published, never)).toEqual({ kind: 'stored', seq: published + 1 });
        published += 1;
      }
    })();
    await eventually(() => {
      expect(published).toBeGreaterThan(9);
    }, withinMs);
    const leader = await new NatsAdmin(servers.map(({ url }) => url).join(','), sampleStream).leader();
    await servers.find(({ name }) => name === leader)?.stop('SIGKILL');
    await publishing;
    await eventually(() => {
      expect(reader.seqs).toEqual(oneTo(30));
    }, 2 * withinMs);
    expect(reader.kinds).not.toContain('restarted');
  });
});
