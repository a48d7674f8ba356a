// Checkpoints: the state at a frame, made from the checkpoint before it and the frames since, is what the store makes of all frames.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { advanceHead, type SnapshotHead } from '../../sidecar/core/snapshot.ts';
import { checkpointName } from '../../sidecar/journal/checkpoint.ts';
import { Store } from '../../sidecar/core/store.ts';
import type { Change, Frame } from '../../sidecar/core/frame.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { collect, epochOf, frameAfter, framesAfter, put } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { checkpointDirectory, openOn } from '../lib/volatile-journal.ts';

const keys = ['a', 'b', 'ab', 'ä', '\u{1F600}', '\uFFFF', '__proto__', '1'];
/** As JSON carries it: without the sign of a zero. */
const value = fc.jsonValue({ maxDepth: 2 }).map((each) => JSON.parse(JSON.stringify(each)) as unknown);
const operation = fc.oneof(
  fc.record({ put: fc.record({ key: fc.constantFrom(...keys), value }) }),
  fc.record({ delete: fc.record({ key: fc.constantFrom(...keys) }) }),
  fc.record({ append: fc.record({ topic: fc.constantFrom(...keys), value: fc.constant(1) }) }),
);
const change = fc.record(
  { operations: fc.array(operation, { minLength: 1, maxLength: 3 }), idempotencyKey: fc.constantFrom('k1', 'k2', 'k3', 'k4') },
  { requiredKeys: ['operations'] },
) as fc.Arbitrary<Change>;

/** Each with its changes, and whether a checkpoint is made, the log compacted, or the journal opened anew after it. */
const steps = fc.array(
  fc.record({
    changes: fc.array(change, { maxLength: 4 }),
    epoch: fc.integer({ min: 0, max: 1 }),
    then: fc.constantFrom('nothing', 'nothing', 'checkpoint', 'compact', 'reopen'),
  }),
  { minLength: 1, maxLength: 20 },
);

/** The state as the journal gives it at a start. */
async function restored(journal: Journal): Promise<Store> {
  const store = new Store();
  for await (const record of journal.checkpointState()) store.restore(record);
  ({ uid: store.uid, index: store.index } = journal.checkpoint?.position ?? { uid: 0, index: 0 });
  for await (const frame of journal.recovered()) if (frame.index > store.index) store.apply(frame);
  return store;
}

const picture = (store: Store): unknown => ({
  uid: store.uid,
  index: store.index,
  entries: store.list('', 1000, ''),
  receipts: ['k1', 'k2', 'k3', 'k4'].map((key) => store.receipt(key)),
});

describe('the state at a start', () => {
  test('is that of all frames, whatever checkpoints were made and whatever was compacted (I8)', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const disk = new VolatileDisk();
        let { journal } = await openOn(disk);
        const [model, written] = [new Store(), [] as Frame[]];
        let [last, epoch, head]: [Frame | null, number, SnapshotHead | null] = [null, 1, null];
        for (const step of all) {
          epoch += step.epoch;
          last = frameAfter(last, step.changes, epochOf(epoch));
          model.apply(last);
          written.push(last);
          head = advanceHead(head, last);
          await journal.write({ frames: [last] });
          if (step.then === 'checkpoint') expect(await journal.makeCheckpoint(last.index)).toEqual(head);
          if (step.then === 'compact') expect(await journal.compact()).toBe(journal.base.position.index + 1);
          if (step.then === 'reopen') {
            await journal.close();
            ({ journal } = await openOn(disk));
          }
        }
        await journal.close();
        const again = await openOn(disk, { scan: false });
        expect(picture(await restored(again.journal))).toEqual(picture(model));
        expect(again.said).toEqual([]);
        // In its bytes, too: a transfer may go on from another member.
        const { journal: other } = await openOn(new VolatileDisk());
        await other.write({ frames: written });
        for (const each of [again.journal, other]) await each.makeCheckpoint(written.length);
        expect(again.journal.snapshot()).toEqual(other.snapshot());
      }),
      { numRuns: 100 },
    );
  });

  test('forgets an idempotency key after its window, and not before (I8)', async () => {
    const disk = new VolatileDisk();
    const { journal } = await openOn(disk);
    const many = (count: number, label: string): Change[] => Array.from({ length: count }, () => put(label, 'v'));
    let last = frameAfter(null, [
      { ...put('a', 'v'), idempotencyKey: 'k1' },
      { ...put('a', 'v'), idempotencyKey: 'k2' },
    ]);
    await journal.write({ frames: [last] });
    await journal.makeCheckpoint(1);
    const window = 100_000;
    for (let left = window - 1; left > 0; left -= Math.min(left, 1000)) {
      last = frameAfter(last, many(Math.min(left, 1000), 'b'));
      await journal.write({ frames: [last] });
    }
    await journal.makeCheckpoint(last.index);
    const receipts = async (): Promise<unknown[]> => (await collect(journal.checkpointState())).filter(({ kind }) => kind === 'receipt');
    expect(await receipts()).toEqual([{ kind: 'receipt', idempotencyKey: 'k2', uid: 2, epoch: 1 }]);
    last = frameAfter(last, many(1, 'b'));
    await journal.write({ frames: [last] });
    await journal.makeCheckpoint(last.index);
    expect(await receipts()).toEqual([]);
  });
});

describe('a checkpoint', () => {
  const frames = framesAfter(null, 12);

  test('of an index that a newer one covers is that newer one', async () => {
    const { journal } = await openOn(new VolatileDisk());
    await journal.write({ frames });
    const head = await journal.makeCheckpoint(9);
    expect(await journal.makeCheckpoint(4)).toBe(head);
    expect(journal.checkpoint).toBe(head);
  });

  test('beyond the durable end is a broken invariant', async () => {
    const { journal, fatal } = await openOn(new VolatileDisk());
    await journal.write({ frames });
    await expect(journal.makeCheckpoint(13)).rejects.toThrow('durable frames');
    expect(fatal).toHaveLength(1);
  });

  test('that is damaged ends the process at a read, and the next one goes on without it', async () => {
    const disk = new VolatileDisk();
    const { journal, fatal } = await openOn(disk);
    await journal.write({ frames });
    const path = `${checkpointDirectory}/${checkpointName((await journal.makeCheckpoint(9)).position)}`;
    const bytes = Buffer.from(disk.contentOf(path));
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    disk.replaceContent(path, bytes);
    await expect(collect(journal.checkpointState())).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(fatal).toHaveLength(1);
    await expect(journal.makeCheckpoint(12)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(fatal).toHaveLength(2);
    const again = await openOn(disk);
    expect(again.hashes).toHaveLength(12);
    expect((await again.journal.makeCheckpoint(12)).position.index).toBe(12);
  });

  test('stays the newest but one when the next is made, and goes when the one after that is', async () => {
    const disk = new VolatileDisk();
    const { journal } = await openOn(disk);
    await journal.write({ frames });
    const kept = async (): Promise<number[]> => (await disk.list(checkpointDirectory)).map((name) => Number(name.slice(0, 16))).sort();
    for (const [index, expected] of [
      [3, [3]],
      [5, [3, 5]],
      [8, [5, 8]],
    ] as const) {
      await journal.makeCheckpoint(index);
      expect(await kept()).toEqual(expected);
    }
  });

  test('does not stop writes, and a rewind waits for it', async () => {
    const disk = new VolatileDisk();
    const gate = Promise.withResolvers<undefined>();
    const { journal } = await openOn(disk, { before: () => gate.promise });
    await journal.write({ frames: frames.slice(0, 10) });
    const made = journal.makeCheckpoint(8);
    await journal.write({ frames: frames.slice(10) });
    const rewind = journal.write({ truncateTo: 6 });
    gate.resolve(undefined);
    expect((await made).position.index).toBe(8);
    await rewind;
    expect(journal.checkpoint).toBeNull();
    expect((await openOn(disk)).hashes).toEqual(frames.slice(0, 6).map(({ hash }) => hash));
  });
});
