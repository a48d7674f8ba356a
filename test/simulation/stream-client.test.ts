// What a simulated process has of the simulated streams: it hears by its own clock, and both streams are there for each of them.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { StreamEvent } from '../../sidecar/ports.ts';
import { frameAfter, put } from '../lib/sample-frames.ts';
import { Chance } from './chance.ts';
import { Network } from './network.ts';
import { Oracles } from './oracles.ts';
import { Scheduler } from './scheduler.ts';
import { StreamClient } from './stream-client.ts';
import { StreamServers } from './stream-servers.ts';
import { drawSwarm } from './swarm.ts';
import { Trace } from './trace.ts';

const log = pino({ level: 'silent' });
const never = new AbortController().signal;
const frame = frameAfter(null, [put('key', 'value')]);

class Streams {
  readonly chance = new Chance(1);
  readonly scheduler = new Scheduler(this.chance, new Trace());
  readonly network = new Network({
    chance: this.chance,
    scheduler: this.scheduler,
    swarm: drawSwarm(this.chance, { calmNetwork: true }),
  });
  readonly servers = new StreamServers({
    chance: this.chance,
    scheduler: this.scheduler,
    network: this.network,
    weather: { replicas: 1, rates: {} },
    onStored: () => undefined,
  });
  readonly oracles = new Oracles({
    durability: 'Quorum',
    complain: (invariant, message) => {
      throw new Error(`${invariant}: ${message}`);
    },
    nowMs: () => this.scheduler.nowMs,
  });

  process() {
    const { scheduler, chance, servers, oracles } = this;
    const machine = { number: 0, paused: false, held: [] };
    const life = { dead: false };
    const clock = {
      nowMs: () => scheduler.nowMs,
      wallMs: () => scheduler.nowMs,
      after: (ms: number, run: () => void) => scheduler.after(ms, 'timer', { machine, life }, run),
      nonce: () => chance.nonce(),
    };
    const client = new StreamClient({ streams: servers, oracles, chance }, { pod: 'm-0', kind: 'member', natsReachable: true }, clock, log);
    const events: StreamEvent['kind'][] = [];
    const states: string[] = [];
    client.onState(({ kind }) => states.push(kind));
    const read = (): void =>
      client.log.read(
        0,
        '',
        ({ kind }) => events.push(kind),
        () => Promise.resolve(),
      );
    return { client, machine, life, events, states, read };
  }

  async pass(ms: number): Promise<void> {
    let isOver = false;
    this.scheduler.later(ms, 'pass', () => (isOver = true));
    await this.scheduler.run(() => isOver);
  }

  async get<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    // Whoever awaits the result takes the rejection.
    work.finally(() => (isOver = true)).catch(() => undefined);
    await this.scheduler.run(() => isOver);
    return work;
  }

  /** One that reads, connected, and another one that writes. */
  async readerAndWriter() {
    const [reader, writer] = [this.process(), this.process()];
    reader.read();
    writer.read();
    await this.pass(2000);
    expect(reader.events).toEqual(['disconnected', 'connected']);
    reader.events.length = 0;
    return { reader, write: () => this.get(writer.client.log.publish(frame, 0, never)) };
  }
}

async function* chunks(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('one');
  yield Buffer.from('two');
}

describe('the streams of a simulated process', () => {
  test('a process that stands still hears of a message and of its lost connection when it goes on', async () => {
    const streams = new Streams();
    const { reader, write } = await streams.readerAndWriter();
    reader.machine.paused = true;
    expect(await write()).toEqual({ kind: 'stored', seq: 1 });
    await streams.pass(1000);
    reader.client.disconnect();
    await streams.pass(1000);
    expect(reader.events).toEqual([]);
    expect(reader.states).toEqual(['disconnected', 'connected']);
    streams.scheduler.resume(reader.machine);
    await streams.pass(5000);
    expect(reader.states).toEqual(['disconnected', 'connected', 'disconnected', 'connected']);
    expect(reader.events.filter((kind) => kind === 'frame')).toHaveLength(1);
  });

  test('a dead process hears nothing more', async () => {
    const streams = new Streams();
    const { reader, write } = await streams.readerAndWriter();
    reader.life.dead = true;
    reader.client.close();
    await write();
    streams.servers.stop();
    await streams.pass(10_000);
    expect(reader.events).toEqual([]);
    expect(reader.states).toEqual(['disconnected', 'connected']);
  });

  test('nothing passes a connection that is cut, which its process notices later', async () => {
    const streams = new Streams();
    const { reader, write } = await streams.readerAndWriter();
    reader.client.cut();
    expect(reader.states.at(-1)).toBe('connected');
    await write();
    await streams.pass(3000);
    expect(reader.states.at(-1)).toBe('disconnected');
    expect(reader.events).not.toContain('frame');
    reader.client.heal();
    await streams.pass(3000);
    expect(reader.events.at(-1)).toBe('frame');
  });

  test('a reader that is stalled gets its message when the time is over', async () => {
    const streams = new Streams();
    const { reader, write } = await streams.readerAndWriter();
    reader.client.stall(8000);
    await write();
    await streams.pass(7000);
    expect(reader.events).not.toContain('frame');
    await streams.pass(2000);
    expect(reader.events).toEqual(['frame']);
  });

  test('a snapshot that one stores is there for another one, also after the servers were away', async () => {
    const streams = new Streams();
    const [first, second] = [streams.process(), streams.process()];
    await streams.pass(1000);
    await streams.get(first.client.snapshots.put('name', 6, chunks(), never));
    streams.servers.stop();
    await streams.pass(1000);
    streams.servers.start();
    await streams.pass(1000);
    expect(await streams.get(second.client.snapshots.latest())).toEqual({ id: 'name', totalBytes: 6, chunks: 2 });
    expect(await streams.get(second.client.snapshots.read('name', 1))).toEqual(Buffer.from('two'));
  });

  test('a stream without a leader refuses all requests until it has one', async () => {
    const streams = new Streams();
    const { reader, write } = await streams.readerAndWriter();
    streams.servers.setLeader(false);
    await expect(streams.get(reader.client.log.lastSeq())).rejects.toMatchObject({ code: 'stream_unavailable' });
    streams.servers.setLeader(true);
    streams.servers.changeLeader();
    expect(await write()).toEqual({ kind: 'stored', seq: 1 });
  });
});
