// Snapshots over the simulated JetStream, in virtual time: damage, and random bad days by the seed with several members that store snapshots.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { snapshotSubjects } from '../../common/names.ts';
import { isAppError } from '../../common/errors.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { SnapshotStore } from '../../sidecar/ports.ts';
import { decodeSnapshotMessage } from '../../sidecar/stream/snapshot-message.ts';
import { createSnapshotStore } from '../../sidecar/stream/snapshot-store.ts';
import { originNamed } from '../lib/sample-frames.ts';
import { SimJetStreamServer, type SimServerOptions } from '../lib/sim-jetstream.ts';
import { seededRandom, VirtualClock } from '../lib/virtual-clock.ts';

const never = new AbortController().signal;
const log = pino({ level: 'silent' });
const subjects = snapshotSubjects('space', 'sample');
const seeds = 100;
const stormMs = 60_000;
const chunkBytes = 20;

class World {
  readonly clock = new VirtualClock();
  readonly random: () => number;
  readonly server: SimJetStreamServer;

  constructor(seed: number, options: Partial<SimServerOptions> = {}) {
    this.random = seededRandom(seed);
    this.server = new SimJetStreamServer({ clock: this.clock, random: this.random, ...options });
  }

  open(): SnapshotStore {
    return createSnapshotStore({ jetstream: this.server.open(), subjects, clock: this.clock, sha256, log });
  }

  async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.clock.after(ms * this.random(), resolve));
  }
}

/** All that is in it follows from its id. */
const chunkOf = (id: string, chunk: number): Uint8Array => Buffer.from(`${id}/${String(chunk)}`.padEnd(chunkBytes));

async function* chunksOf(id: string, count: number): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < count; chunk += 1) yield chunkOf(id, chunk);
}

const put = (store: SnapshotStore, id: string, count: number, signal = never): Promise<void> =>
  store.put({ id, totalBytes: count * chunkBytes, origin: originNamed(id) }, chunksOf(id, count), signal);

/** What fails as it may is `null`. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (!isAppError(error)) throw error;
    return null;
  }
}

/** Several members store snapshots, and one reads them all the while. Returns how many were stored. */
async function live(seed: number): Promise<number> {
  const drawn = seededRandom(seed);
  const faults = [
    'requestLost',
    'requestDelayed',
    'requestDuplicated',
    'answerLost',
    'answerDelayed',
    'refused',
    'underWay',
    'dropped',
    'stale',
  ] as const;
  const rates = Object.fromEntries(faults.filter(() => drawn() < 0.4).map((fault) => [fault, 0.2 * drawn()]));
  const manifests: string[] = [];
  const onStored = (_seq: number, bytes: Uint8Array): void => {
    const head = decodeSnapshotMessage(bytes)?.head;
    if (head?.kind === 'manifest') manifests.push(head.id);
  };
  const day = new World(seed, { rates, replicas: drawn() < 0.5 ? 1 : 3, latencyMs: 30, delayMs: 8000, onStored });
  const sizes = new Map<string, number>();
  const whole: string[] = [];
  const isStormy = (): boolean => day.clock.nowMs() < stormMs;
  const write = async (store: SnapshotStore, name: string): Promise<void> => {
    for (let count = 1; isStormy(); count += 1) {
      await day.pause(4000);
      const id = `${name}${String(count)}`;
      sizes.set(id, 1 + Math.floor(8 * day.random()));
      const giveUp = new AbortController();
      const cancel = day.clock.after(15_000, () => {
        giveUp.abort();
      });
      if ((await orNull(put(store, id, sizes.get(id) ?? 0, giveUp.signal).then(() => id))) !== null) whole.push(id);
      cancel();
    }
  };
  const storm = async (): Promise<void> => {
    while (isStormy()) {
      await day.pause(8000);
      day.server.stop();
      await day.pause(2000);
      day.server.start();
    }
    day.server.faults.rates = {};
  };
  const reader = day.open();
  const check = async (): Promise<void> => {
    const latest = await orNull(reader.latest());
    if (latest === null) return;
    const { id } = latest;
    const chunks = sizes.get(id) ?? 0;
    expect(latest).toEqual({ id, totalBytes: chunks * chunkBytes, origin: originNamed(id), chunks });
    for (let chunk = 0; chunk < latest.chunks; chunk += 1) {
      const bytes = await orNull(reader.read(latest.id, chunk));
      // It may have become too old meanwhile.
      if (bytes !== null) expect(bytes).toEqual(chunkOf(latest.id, chunk));
    }
  };
  const read = async (): Promise<void> => {
    while (isStormy()) {
      await day.pause(1000);
      await check();
    }
  };
  await day.clock.get(Promise.all([write(day.open(), 'a'), write(day.open(), 'b'), storm(), read()]), 2 * stormMs);
  await day.clock.pass(20_000);
  expect(manifests).toEqual(expect.arrayContaining(whole));
  // Nothing that was under way has harmed the one whose manifest was stored last.
  const last = await day.clock.get(reader.latest());
  expect(last?.id).toBe(manifests.at(-1));
  for (let chunk = 0; chunk < (last?.chunks ?? 0); chunk += 1)
    expect(await day.clock.get(reader.read(last?.id ?? '', chunk))).toEqual(chunkOf(last?.id ?? '', chunk));
  const final = day.open();
  await day.clock.pass(1000);
  await day.clock.get(put(final, 'next', 2));
  await day.clock.get(put(final, 'final', 2));
  expect(day.server.content?.messages).toBe(3 + 3);
  return whole.length;
}

describe('snapshots on bad days', () => {
  /** A store that holds one snapshot, `one`. */
  async function storeOf(chunks: number): Promise<{ clock: VirtualClock; server: SimJetStreamServer; store: SnapshotStore }> {
    const world = new World(1);
    const { clock, server } = world;
    const store = world.open();
    await clock.pass(100);
    await clock.get(put(store, 'one', chunks));
    return { clock, server, store };
  }

  test('a damaged chunk is not served, the others are', async () => {
    const { clock, server, store } = await storeOf(3);
    server.content?.damage(2);
    expect(await clock.get(store.read('one', 1))).toBeNull();
    expect(await clock.get(store.read('one', 2))).toEqual(chunkOf('one', 2));
  });

  test('one is not put by what a server says that knows less than the one before: the newest would be overwritten', async () => {
    const { clock, server, store } = await storeOf(3);
    server.faults.script('call');
    server.faults.script('call', 'stale');
    await expect(clock.get(put(store, 'two', 1))).rejects.toMatchObject({ code: 'stream_unavailable' });
    await clock.get(put(store, 'two', 1));
    expect(await clock.get(store.read('two', 0))).toEqual(chunkOf('two', 0));
    expect(await clock.get(store.read('one', 2))).toEqual(chunkOf('one', 2));
  });

  test('none is there after a person purged all, and the next one is stored', async () => {
    const { clock, server, store } = await storeOf(3);
    server.purge(5);
    expect(await clock.get(store.latest())).toBeNull();
    await clock.get(put(store, 'two', 1));
    expect(await clock.get(store.latest())).toEqual({ id: 'two', totalBytes: chunkBytes, origin: originNamed('two'), chunks: 1 });
  });

  test('whichever member stores one, what is there can be read whole, and what was stored is there until two newer ones are', async () => {
    let stored = 0;
    for (let seed = 1; seed <= seeds; seed += 1) stored += await live(seed);
    expect(stored).toBeGreaterThan(3 * seeds);
  });
});
