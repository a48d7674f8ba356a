// Snapshots on their way between journals, members and NATS: what arrives is what left, wherever it was interrupted.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { emptyPosition } from '../../common/position.ts';
import { systemClock } from '../../sidecar/clock.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal, SnapshotStore } from '../../sidecar/ports.ts';
import { offerSnapshot, receiveSnapshot, snapshotsInNats, storeSnapshot, type SnapshotSource } from '../../sidecar/snapshot-exchange.ts';
import { createSnapshotStore } from '../../sidecar/stream/snapshot-store.ts';
import { eventually } from '../lib/eventually.ts';
import { LoneMember } from '../lib/lone-member.ts';
import { running } from '../lib/member-stories.ts';
import { collect, epochOf, frameAfter, put } from '../lib/sample-frames.ts';
import { SimJetStreamServer } from '../lib/sim-jetstream.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { checkpointDirectory, openOn } from '../lib/volatile-journal.ts';
import { seededRandom } from '../lib/virtual-clock.ts';

const never = new AbortController().signal;
const partBytes = 512 * 1024;
let disk: VolatileDisk;
let journal: Journal;
let fatal: readonly unknown[];
let store: SnapshotStore;

/** A journal with a checkpoint of a few parts, and NATS. */
beforeEach(async () => {
  disk = new VolatileDisk();
  ({ journal, fatal } = await openOn(disk));
  let last = null;
  for (let at = 0; at < 3; at += 1) {
    last = frameAfter(last, [put(`key-${String(at)}`, 'v'.repeat(400_000))]);
    await journal.write({ frames: [last] });
  }
  await journal.makeCheckpoint(3);
  const server = new SimJetStreamServer({ clock: systemClock, random: seededRandom(1), latencyMs: 5 });
  const log = pino({ level: 'silent' });
  store = createSnapshotStore({ jetstream: server.open(), subjects: ['s.0', 's.1'], clock: systemClock, sha256, log });
  await eventually(async () => {
    await store.latest();
  });
});

async function expectTaken(id: string): Promise<void> {
  const { journal: other } = await openOn(new VolatileDisk());
  expect(await receiveSnapshot(other, snapshotsInNats(store))).toMatchObject({ id });
  await other.installSnapshot(id);
  expect(await collect(other.checkpointState())).toEqual(await collect(journal.checkpointState()));
}

describe('a snapshot', () => {
  test('that was stored in NATS says which state it is, and comes back whole', async () => {
    const snapshot = journal.snapshot();
    expect(snapshot?.bytes).toBeGreaterThan(2 * partBytes);
    const origin = await storeSnapshot(journal, store, never);
    expect(origin).toEqual({ clusterId: 'sample', position: snapshot?.head.position });
    expect(await store.latest()).toMatchObject({ id: snapshot?.id, totalBytes: snapshot?.bytes, origin, chunks: 3 });
    await expectTaken(snapshot?.id ?? '');
  });

  test('goes on where it was interrupted, also within a part and from another source', async () => {
    await storeSnapshot(journal, store, never);
    const { id = '', bytes = 0 } = journal.snapshot() ?? {};
    const whole = (await journal.readSnapshot(id, 0, bytes)) ?? new Uint8Array();
    const { journal: other } = await openOn(new VolatileDisk());
    await other.receiveSnapshot(id, bytes, 0, whole.subarray(0, partBytes + 1000));
    const asked: number[] = [];
    const inNats = snapshotsInNats(store);
    const counting: SnapshotSource = {
      offer: () => inNats.offer(),
      part: (name, offset) => {
        asked.push(offset);
        return inNats.part(name, offset);
      },
    };
    expect(await receiveSnapshot(other, counting)).toMatchObject({ id });
    expect(asked).toEqual([partBytes + 1000, 2 * partBytes]);
    await other.installSnapshot(id);
  });

  test('that the disk has damaged is stored for nobody, so that no purge rests on it, and ends the process (I2)', async () => {
    const [name = ''] = await disk.list(checkpointDirectory);
    const bytes = Buffer.from(disk.contentOf(`${checkpointDirectory}/${name}`));
    bytes[partBytes] = (bytes[partBytes] ?? 0) ^ 1;
    disk.replaceContent(`${checkpointDirectory}/${name}`, bytes);
    await expect(storeSnapshot(journal, store, never)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(await store.latest()).toBeNull();
    expect(fatal).toMatchObject([{ code: 'journal_corrupt' }]);
  });

  test('that was given up before its first part was sent does not meet the one that is stored after it', async () => {
    const origin = { clusterId: 'sample', position: emptyPosition };
    const givenUp = new AbortController();
    const gate = Promise.withResolvers<undefined>();
    async function* late(): AsyncGenerator<Uint8Array> {
      await gate.promise;
      yield new Uint8Array(1);
    }
    async function* next(): AsyncGenerator<Uint8Array> {
      gate.resolve(undefined);
      yield new Uint8Array(1);
    }
    const first = store.put({ id: 'first', totalBytes: 1, origin }, late(), givenUp.signal);
    givenUp.abort();
    const second = store.put({ id: 'second', totalBytes: 1, origin }, next(), never);
    await expect(first).rejects.toMatchObject({ code: 'stream_unavailable' });
    await second;
    expect(await store.latest()).toMatchObject({ id: 'second' });
  });

  test('that is gone from its source half way is none', async () => {
    const { id = '', bytes = 0, head } = journal.snapshot() ?? {};
    if (head === undefined) throw new Error('no snapshot');
    const gone: SnapshotSource = { offer: async () => ({ id, bytes, head }), part: async () => new Uint8Array() };
    expect(await receiveSnapshot(journal, gone)).toBeNull();
  });

  test('is not stored when newer checkpoints take its place meanwhile', async () => {
    const losing = { snapshot: () => journal.snapshot(), readSnapshot: async () => null };
    await expect(storeSnapshot(losing, store, never)).rejects.toMatchObject({ code: 'compacted' });
    expect(await store.latest()).toBeNull();
  });

  test('that does not fit into NATS is not begun', async () => {
    const snapshot = journal.snapshot();
    if (snapshot === null) throw new Error('no snapshot');
    const huge = { snapshot: () => ({ ...snapshot, bytes: 8192 * partBytes + 1 }), readSnapshot: async () => new Uint8Array(1) };
    expect(await storeSnapshot(huge, store, never)).toBeNull();
    expect(await store.latest()).toBeNull();
  });

  test('is not there when there is no checkpoint', async () => {
    const { journal: empty } = await openOn(new VolatileDisk());
    expect(await storeSnapshot(empty, store, never)).toBeNull();
    expect(await receiveSnapshot(empty, snapshotsInNats(store))).toBeNull();
  });

  test('is not made while the disk has the end of a log that is being rewound (I2)', async () => {
    const world = running();
    const lone = new LoneMember(world, 'm-1');
    const fork = world.node('m-1').frames.at(-1) ?? null;
    lone.read(lone.next(lone.end.epoch, 'given up'));
    lone.finishWrites();
    lone.read(lone.next(epochOf(2), null, fork));
    lone.hear(lone.heartbeat('m-0', epochOf(2), lone.end));
    expect(lone.member.store.index).toBe(lone.end.index);
    const unasked = (): Promise<never> => Promise.reject(new Error('of the log that is being rewound'));
    expect(await offerSnapshot({ snapshot: () => null, makeCheckpoint: unasked }, lone.member)).toBeNull();
  });
});
