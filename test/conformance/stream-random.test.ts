// Random bad days of the stream by the seed: two writers that fight for the stream and two readers, in virtual time over the simulated JetStream.
// What a writer was told must be true, and a reader must end with what the stream holds, without a gap that it was not told.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Frame } from '../../sidecar/core/frame.ts';
import { isAppError } from '../../common/errors.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream, StreamEvent } from '../../sidecar/ports.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { frameAfter, put } from '../lib/sample-frames.ts';
import { simFaults, type SimFault } from '../lib/sim-faults.ts';
import { SimJetStreamServer } from '../lib/sim-jetstream.ts';
import type { SimJetStream } from '../lib/sim-jetstream-client.ts';
import { sampleStream, sampleSubject } from '../lib/stream-world.ts';
import { seededRandom, VirtualClock } from '../lib/virtual-clock.ts';

const log = pino({ level: 'silent' });
const seeds = 60;
const stormMs = 40_000;
const calmMs = 60_000;
interface Told {
  readonly frame: Frame;
  readonly seq: number;
  readonly outcome: 'stored' | 'conflict';
}

/** What happens to the stream itself besides. */
type Harm = (day: BadDay) => void;

/** What a reader holds of the stream after all that it was told; throws on a gap that it was not told. */
class Replica {
  readonly texts = new Map<number, string>();
  #next = 1;
  connected = false;
  restarts = 0;
  purges = 0;

  readonly onEvent = (event: StreamEvent): void => {
    if (event.kind === 'connected' || event.kind === 'disconnected') this.connected = event.kind === 'connected';
    else if (event.kind === 'restarted') {
      this.texts.clear();
      this.#next = 1;
      this.restarts += 1;
    } else if (event.kind === 'purged') {
      expect(event.firstSeq).toBeGreaterThanOrEqual(this.#next - 1);
      this.#next = event.firstSeq;
      this.purges += 1;
    } else {
      expect(event.seq).toBe(this.#next);
      this.#next = event.seq + 1;
      this.texts.set(event.seq, Buffer.from(event.bytes).toString());
    }
  };
}

class BadDay {
  readonly clock = new VirtualClock();
  readonly random: () => number;
  readonly server: SimJetStreamServer;
  readonly told: Told[] = [];
  readonly replicas: Replica[] = [];
  readonly clients: SimJetStream[] = [];
  #made = 0;
  /** All that ever stood at a sequence. */
  readonly #stored = new Map<number, Set<string>>();
  #lastSeqStoredAgain = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    // A swarm: each day has some of the faults, and those at a rate of its own.
    const rates = Object.fromEntries(simFaults.filter(() => this.random() < 0.4).map((fault) => [fault, 0.3 * this.random()]));
    const replicas = this.random() < 0.5 ? 1 : 3;
    const way = { rates, replicas, latencyMs: 50, delayMs: 8000 } as const;
    const onStored = (seq: number, bytes: Uint8Array): void => this.#onStored(seq, Buffer.from(bytes).toString());
    this.server = new SimJetStreamServer({ clock: this.clock, random: this.random, onStored, ...way });
  }

  #onStored(seq: number, text: string): void {
    const before = this.#stored.get(seq) ?? new Set();
    if (before.has(text)) this.#lastSeqStoredAgain = Math.max(this.#lastSeqStoredAgain, seq);
    this.#stored.set(seq, before.add(text));
  }

  open(): LogStream & { close(): void } {
    const jetstream = this.server.open();
    this.clients.push(jetstream);
    return createLogStream({ jetstream, stream: sampleStream, subject: sampleSubject, mayCreate: true, clock: this.clock, sha256, log });
  }

  read(stream: LogStream): void {
    const replica = new Replica();
    this.replicas.push(replica);
    stream.read(replica.onEvent, () => Promise.resolve());
  }

  get isStormy(): boolean {
    return this.clock.nowMs() < stormMs;
  }

  /** Publishes what it can, one frame after the other, each behind what it believes to be the end. */
  async write(stream: LogStream, giveUp: AbortController): Promise<void> {
    while (this.isStormy) {
      await this.#pause();
      const frame = frameAfter(null, [put(`k${String((this.#made += 1))}`, 'x')]);
      const end = await stream.lastSeq().catch((error: unknown) => {
        if (!isAppError(error)) throw error;
        return null;
      });
      if (end === null) continue;
      const outcome = await stream.publish(frame, end, giveUp.signal);
      if (outcome.kind === 'stored') {
        expect(outcome.seq).toBe(end + 1);
        this.told.push({ frame, seq: end + 1, outcome: 'stored' });
      } else if (outcome.kind === 'conflict' && outcome.lastSeq > end) this.told.push({ frame, seq: end + 1, outcome: 'conflict' });
    }
  }

  /** What befalls the servers and the connections. */
  async storm(harms: readonly Harm[] = []): Promise<void> {
    while (this.isStormy) {
      await this.#pause(3000);
      const draw = this.random();
      if (draw < 0.2) {
        this.server.stop();
        await this.#pause(2000);
        this.server.start();
      } else if (draw < 0.5) this.clients[Math.floor(this.random() * this.clients.length)]?.lose('the connection to NATS was lost');
      else if (draw < 0.7) this.server.changeLeader();
      else if (draw < 0.8) this.server.stallConsumers();
      else harms[Math.floor(this.random() * harms.length)]?.(this);
    }
    this.server.faults.rates = {};
  }

  async #pause(ms = 500): Promise<void> {
    await new Promise<void>((resolve) => this.clock.after(ms * this.random(), resolve));
  }

  textAt(seq: number): string {
    return Buffer.from(this.server.content?.message(seq)?.bytes ?? []).toString();
  }

  /**
   * Does a reader hold what the stream holds, from the first message that is left? A message whose end was lost and that is stored once more,
   * on the same sequence, stands where its reader saw it: what was replaced before it the reader cannot see, and who needs it finds it by the chain.
   */
  holds({ texts }: Replica): boolean {
    const { firstSeq, lastSeq } = this.server.content?.ends ?? { firstSeq: 1, lastSeq: 0 };
    for (let seq = Math.max(firstSeq, 1); seq <= lastSeq; seq += 1)
      if (texts.get(seq) !== this.textAt(seq) && !(texts.has(seq) && seq < this.#lastSeqStoredAgain)) return false;
    return [...texts.keys()].every((seq) => seq <= lastSeq);
  }

  get stored(): string[] {
    return Array.from({ length: this.server.content?.ends.lastSeq ?? 0 }, (_, at) => this.textAt(at + 1));
  }
}

const textOf = (frame: Frame): string => Buffer.from(frame.bytes).toString();

const harms: readonly Harm[] = [
  ({ server, random }) => server.loseEnd(Math.floor(random() * ((server.content?.ends.lastSeq ?? 0) + 1))),
  ({ server }) => server.remove(),
  ({ server, random }) => server.purge(Math.floor(random() * ((server.content?.ends.lastSeq ?? 0) + 2)), sampleSubject),
  ({ server, random }) => server.purge(Math.floor(random() * ((server.content?.ends.lastSeq ?? 0) + 10))),
  ({ server }) => {
    const saved = server.content?.copy() ?? null;
    server.stop();
    server.restore(saved?.upTo(saved.ends.lastSeq - 3) ?? null);
    server.start();
  },
];

/** One day, until all is calm again and each reader holds what the stream holds. */
async function live(seed: number, dayHarms: readonly Harm[] = []): Promise<BadDay> {
  const day = new BadDay(seed);
  const giveUp = new AbortController();
  const streams = [day.open(), day.open(), day.open()];
  for (const stream of streams) day.read(stream);
  const writing = streams.slice(1).map((stream) => day.write(stream, giveUp));
  day.clock.after(stormMs + calmMs / 2, () => {
    giveUp.abort();
  });
  await day.clock.get(Promise.all([...writing, day.storm(dayHarms)]), stormMs + calmMs);
  const { replicas } = day;
  await day.clock.until(() => replicas.every((replica) => replica.connected && day.holds(replica)), calmMs);
  for (const stream of streams) stream.close();
  return day;
}

describe('random bad days of the stream', () => {
  test('what was told of a frame is true, and each reader ends with what the stream holds (I3, I8)', async () => {
    let published = 0;
    const injected = new Set<SimFault>();
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { stored, told, server } = await live(seed);
      for (const fault of server.faults.injected.keys()) injected.add(fault);
      for (const { frame, seq, outcome } of told) {
        const copies = stored.filter((text) => text === textOf(frame)).length;
        expect({ seed, seq, copies, stands: stored[seq - 1] === textOf(frame) }).toEqual(
          outcome === 'stored' ? { seed, seq, copies: 1, stands: true } : { seed, seq, copies: 0, stands: false },
        );
      }
      published += stored.length;
    }
    expect(published).toBeGreaterThan(10 * seeds);
    expect(injected).toEqual(new Set(simFaults));
  });

  test('the same seed is the same day', async () => {
    const days = [await live(7, harms), await live(7, harms)];
    const [first, second] = days.map(({ told, stored, replicas, clock }) => ({
      told: told.map(({ frame, ...rest }) => ({ ...rest, hash: frame.hash })),
      stored,
      texts: replicas.map(({ texts }) => [...texts]),
      nowMs: clock.nowMs(),
    }));
    expect(first).toEqual(second);
  });

  test('each reader ends with what is left of a stream that loses its end, is purged, deleted and made anew', async () => {
    let restarts = 0;
    let purges = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { replicas } = await live(seed, harms);
      for (const replica of replicas) {
        restarts += replica.restarts;
        purges += replica.purges;
      }
    }
    expect(restarts).toBeGreaterThan(seeds);
    expect(purges).toBeGreaterThan(seeds);
  });
});
