// The contract of the snapshots in NATS, held on real nats-servers and on the simulated one.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import type { SnapshotStore } from '../../sidecar/ports.ts';
import { eventually } from '../lib/eventually.ts';
import { collect, originNamed } from '../lib/sample-frames.ts';
import { natsServers, simServers, withinMs, type StreamServers, type StreamWorld } from '../lib/stream-world.ts';

const never = new AbortController().signal;

/** Chunks that tell whose they are. */
const chunksOf = (label: string, count: number, bytes = 1000): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => Buffer.from(`${label}${String(at)} `.repeat(bytes).slice(0, bytes)));

async function* each(chunks: readonly Uint8Array[], fails = false): AsyncGenerator<Uint8Array> {
  yield* chunks;
  if (fails) throw new AppError('journal_corrupt', 'the checkpoint cannot be read');
}

const sizeOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { length }) => sum + length, 0);

const put = (store: SnapshotStore, id: string, chunks: readonly Uint8Array[]): Promise<void> =>
  store.put({ id, totalBytes: sizeOf(chunks), origin: originNamed(id) }, each(chunks), never);

async function* chunksIn(store: SnapshotStore, id: string, count: number): AsyncGenerator<string | null> {
  for (let chunk = 0; chunk < count; chunk += 1) {
    const bytes = await store.read(id, chunk);
    yield bytes === null ? null : Buffer.from(bytes).toString();
  }
}

async function expectWhole(store: SnapshotStore, id: string, chunks: readonly Uint8Array[]): Promise<void> {
  expect(await collect(chunksIn(store, id, chunks.length))).toEqual(chunks.map((bytes) => Buffer.from(bytes).toString()));
}

const untilReachable = (store: SnapshotStore): Promise<void> =>
  eventually(async () => {
    await store.latest();
  }, withinMs);

describe.each([
  ['on a real nats-server', () => natsServers(1)],
  ['on three real nats-servers', () => natsServers(3)],
  ['on a simulated server', () => simServers(1)],
  ['on three simulated servers', () => simServers(3)],
])('the snapshots of a cluster %s', (_, makeServers) => {
  let servers: StreamServers;
  let world: StreamWorld;
  let store: SnapshotStore;

  beforeAll(async () => {
    servers = await makeServers();
  });
  afterAll(() => servers.drop());
  beforeEach(async () => {
    world = await servers.world();
    store = world.openSnapshots();
    await untilReachable(store);
  });
  afterEach(() => world.drop());

  test('are none at first', async () => {
    expect(await store.latest()).toBeNull();
    expect(await store.read('none', 0)).toBeNull();
  });

  test('come back byte for byte, for another member too, up to chunks of 512 KiB', async () => {
    const chunks = [...chunksOf('a', 3), ...chunksOf('b', 2, 512 * 1024)];
    await put(store, 'one', chunks);
    const other = world.openSnapshots();
    await untilReachable(other);
    expect(await other.latest()).toEqual({ id: 'one', totalBytes: sizeOf(chunks), origin: originNamed('one'), chunks: 5 });
    await expectWhole(other, 'one', chunks);
    expect(await other.read('one', 5)).toBeNull();
    expect(await other.read('another', 0)).toBeNull();
  });

  test('an empty one is one', async () => {
    await put(store, 'empty', []);
    expect(await store.latest()).toEqual({ id: 'empty', totalBytes: 0, origin: originNamed('empty'), chunks: 0 });
  });

  test('are the newest two; the one before is still read when a newer one is there', async () => {
    const [a, b, c] = [chunksOf('a', 3), chunksOf('b', 4), chunksOf('c', 2)];
    await put(store, 'a', a);
    await put(store, 'b', b);
    await expectWhole(store, 'a', a);
    await put(store, 'c', c);
    expect((await store.latest())?.id).toBe('c');
    await expectWhole(store, 'c', c);
    await expectWhole(store, 'b', b);
    expect(await store.read('a', 0)).toBeNull();
    // Their chunks and manifests, and nothing else.
    expect(await world.snapshotMessages()).toBe(3 + 5);
  });

  test('one that is half written does not exist, and the next removes it', async () => {
    const [a, b] = [chunksOf('a', 3), chunksOf('b', 2)];
    await put(store, 'a', a);
    for (const id of ['half', 'half again']) {
      await expect(store.put({ id, totalBytes: 9000, origin: originNamed(id) }, each(chunksOf('h', 9), true), never)).rejects.toMatchObject(
        { code: 'journal_corrupt' },
      );
      expect((await store.latest())?.id).toBe('a');
      expect(await store.read(id, 0)).toBeNull();
      expect(await world.snapshotMessages()).toBe(4 + 9);
    }
    await put(store, 'b', b);
    expect((await store.latest())?.id).toBe('b');
    await expectWhole(store, 'a', a);
    await expectWhole(store, 'b', b);
    expect(await world.snapshotMessages()).toBe(4 + 3);
  });

  test('of two that are put at one time at most one is stored, and it is whole', async () => {
    const other = world.openSnapshots();
    await untilReachable(other);
    await put(store, 'a', chunksOf('a', 1));
    const both = { b: chunksOf('b', 20), c: chunksOf('c', 20) };
    const results = await Promise.allSettled([put(store, 'b', both.b), put(other, 'c', both.c)]);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'stream_unavailable' });
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(2);
    const latest = await store.latest();
    if (latest?.id === 'b' || latest?.id === 'c') await expectWhole(store, latest.id, both[latest.id]);
    else expect(latest?.id).toBe('a');
  });

  test('are stored whole when messages and answers are lost on the way', async () => {
    const chunks = chunksOf('a', 4);
    async function* lossy(): AsyncGenerator<Uint8Array> {
      for (const [at, bytes] of chunks.entries()) {
        if (at === 1) world.loseNextFrame();
        if (at === 3) world.loseNextAnswer();
        yield bytes;
      }
    }
    await store.put({ id: 'a', totalBytes: sizeOf(chunks), origin: originNamed('a') }, lossy(), never);
    await untilReachable(store);
    await expectWhole(store, 'a', chunks);
    expect(await world.snapshotMessages()).toBe(5);
  });

  test('one that is given up rejects, and is not there', async () => {
    const giveUp = new AbortController();
    async function* stopping(): AsyncGenerator<Uint8Array> {
      yield* chunksOf('a', 2);
      giveUp.abort();
      yield* chunksOf('b', 2);
    }
    await expect(store.put({ id: 'a', totalBytes: 4000, origin: originNamed('a') }, stopping(), giveUp.signal)).rejects.toMatchObject({
      code: 'stream_unavailable',
    });
    expect(await store.latest()).toBeNull();
  });

  test.each([
    ['empty', [new Uint8Array()], 0],
    ['too large', [new Uint8Array(512 * 1024 + 1)], 512 * 1024 + 1],
    ['not as many bytes as were said', chunksOf('a', 2), 1],
  ])('chunks that are %s are an error of the caller', async (_name, chunks, totalBytes) => {
    await expect(store.put({ id: 'a', totalBytes, origin: originNamed('a') }, each(chunks), never)).rejects.toThrow(/chunk/);
    expect(await store.latest()).toBeNull();
  });
});
