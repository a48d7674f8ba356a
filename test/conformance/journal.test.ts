// The contract of the journal, held by the one on a real disk and by the one in memory.
import { afterEach, describe, expect, test } from '@jest/globals';
import { noEpoch } from '../../common/position.ts';
import { maxQueuedSteps } from '../../sidecar/journal/group-commit.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { memoryVolume, realVolume, type Volume } from '../lib/journal-volume.ts';
import { collect, epochOf, frameAfter, framesAfter, promised } from '../lib/sample-frames.ts';

const everything = 1 << 30;

describe.each([
  ['on disk', realVolume],
  ['in memory', memoryVolume],
])('a journal %s', (_, makeVolume) => {
  let volume: Volume | null = null;
  let journal: Journal | null = null;

  async function open(): Promise<Journal> {
    await journal?.close();
    volume ??= await makeVolume();
    const opened = await volume.open();
    journal = opened;
    return opened;
  }
  async function openAndScan(): Promise<{ journal: Journal; hashes: string[] }> {
    const opened = await open();
    return { journal: opened, hashes: (await collect(opened.recovered())).map(({ hash }) => hash) };
  }
  afterEach(async () => {
    await journal?.close();
    await volume?.drop();
    journal = volume = null;
  });

  test('begins empty', async () => {
    const { journal, hashes } = await openAndScan();
    expect(hashes).toEqual([]);
    expect(journal.hardState.promise).toEqual(noEpoch);
    expect(await journal.read(1, everything)).toEqual([]);
    expect(await journal.archives()).toEqual([]);
  });

  test('keeps frames and the promise', async () => {
    const frames = framesAfter(null, 30);
    const { journal } = await openAndScan();
    await journal.write({ hardState: promised(epochOf(3, 'me')), frames: frames.slice(0, 20) });
    await journal.write({ frames: frames.slice(20) });
    const again = await open();
    const recovered = await collect(again.recovered());
    expect(recovered).toEqual(frames);
    expect(again.hardState.promise).toEqual(epochOf(3, 'me'));
  });

  test('carries out steps in the order in which they were made', async () => {
    const frames = framesAfter(null, 200);
    const { journal } = await openAndScan();
    const answered: number[] = [];
    await Promise.all(
      frames.map(async (frame) => {
        await journal.write({ frames: [frame], ...(frame.index % 50 === 0 ? { hardState: promised(epochOf(frame.index)) } : {}) });
        answered.push(frame.index);
      }),
    );
    expect(answered).toEqual(frames.map(({ index }) => index));
    expect((await openAndScan()).hashes).toEqual(frames.map(({ hash }) => hash));
    expect(journal.hardState.promise).toEqual(epochOf(200));
  });

  test('shows a frame to readers once its write is answered', async () => {
    const [frame] = framesAfter(null, 1);
    if (frame === undefined) throw new Error('no frame');
    const { journal } = await openAndScan();
    await journal.write({ frames: [frame] });
    expect(await journal.read(1, everything)).toEqual([frame]);
  });

  test('reads as many frames as fit, and one when none does', async () => {
    const frames = framesAfter(null, 30);
    const { journal } = await openAndScan();
    await journal.write({ frames });
    const bytes = frames[0]?.bytes.length ?? 0;
    expect(await journal.read(11, 1)).toEqual(frames.slice(10, 11));
    const some = await journal.read(11, bytes * 5);
    expect(some.length).toBeGreaterThan(1);
    expect(some.length).toBeLessThanOrEqual(5);
    expect(some).toEqual(frames.slice(10, 10 + some.length));
    expect(await journal.read(1, everything)).toEqual(frames);
    expect(await journal.read(31, everything)).toEqual([]);
  });

  test('archives a tail before it replaces it (I5)', async () => {
    const frames = framesAfter(null, 30);
    const replacement = framesAfter(frames[11] ?? null, 3, 'b', epochOf(2));
    const { journal } = await openAndScan();
    await journal.write({ frames });
    const tail = await journal.write({ hardState: promised(epochOf(2)), truncateTo: 12, frames: replacement });
    expect(tail).toMatchObject({ firstUid: 13, lastUid: 30, changes: 18 });
    expect(tail?.id).toBe(`diverged-0.1-13-30-${frames[29]?.hash.slice(0, 8) ?? ''}`);
    expect(await journal.archives()).toEqual([tail]);
    const after = [...frames.slice(0, 12), ...replacement];
    expect(await journal.read(1, everything)).toEqual(after);
    const { journal: again, hashes } = await openAndScan();
    expect(hashes).toEqual(after.map(({ hash }) => hash));
    expect(await again.archives()).toEqual([tail]);
    expect(again.hardState.promise).toEqual(epochOf(2));
  });

  test('reads a tail back change by change, as it was, also after a restart', async () => {
    const frames = framesAfter(null, 5);
    const own = framesAfter(frames[2] ?? null, 4, 'own', epochOf(2, 'other'));
    const { journal } = await openAndScan();
    await journal.write({ frames: [...frames.slice(0, 3), ...own] });
    const tail = await journal.write({ truncateTo: 3 });
    const changes = own.map(({ firstUid, epoch, changes: [change] }) => ({ uid: firstUid, epoch, change }));
    const id = tail?.id ?? '';
    expect(await collect(journal.archivedChanges(id))).toEqual(changes);
    await journal.close();
    const { journal: again } = await openAndScan();
    expect(await collect(again.archivedChanges(id))).toEqual(changes);
    const copy = await again.archiveCopy(1, { count: 1, ageMs: 0 });
    await expect(collect(again.archivedChanges(copy?.id ?? ''))).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(collect(again.archivedChanges('../log'))).rejects.toMatchObject({ code: 'not_found' });
  });

  test('goes on after a rewind to any length, down to nothing', async () => {
    const first = framesAfter(null, 30);
    const { journal } = await openAndScan();
    await journal.write({ frames: first });
    await journal.write({ truncateTo: 7 });
    const second = framesAfter(first[6] ?? null, 9, 'b');
    await journal.write({ frames: second });
    await journal.write({ truncateTo: 0 });
    expect(await journal.read(1, everything)).toEqual([]);
    const third = framesAfter(null, 4, 'c');
    await journal.write({ frames: third });
    expect((await openAndScan()).hashes).toEqual(third.map(({ hash }) => hash));
    expect(await journal.archives()).toMatchObject([
      { firstUid: 1, lastUid: 16 },
      { firstUid: 8, lastUid: 30 },
    ]);
  });

  test('archives nothing when nothing, or only claims, are cut off', async () => {
    const frames = framesAfter(null, 3);
    const claim = frameAfter(frames[2] ?? null, [], epochOf(2));
    const { journal } = await openAndScan();
    await journal.write({ frames: [...frames, claim] });
    expect(await journal.write({ truncateTo: 4 })).toBeNull();
    expect(await journal.write({ truncateTo: 3 })).toBeNull();
    expect(await journal.archives()).toEqual([]);
    expect((await openAndScan()).hashes).toEqual(frames.map(({ hash }) => hash));
  });

  test('keeps nothing of a step that finds the disk full, reads on, and writes again when there is room', async () => {
    const frames = framesAfter(null, 12);
    const { journal } = await openAndScan();
    await journal.write({ frames: frames.slice(0, 5) });
    volume?.setFull(true);
    const refused = [
      journal.write({ frames: frames.slice(5, 8) }),
      journal.write({ hardState: promised(epochOf(7)), frames: frames.slice(8, 10) }),
      journal.write({ truncateTo: 2 }),
    ];
    for (const outcome of await Promise.allSettled(refused))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'disk_full' } });
    await expect(journal.write({ truncateTo: 2 })).rejects.toMatchObject({ code: 'disk_full' });
    expect(await journal.read(1, everything)).toEqual(frames.slice(0, 5));
    expect(await journal.archives()).toEqual([]);
    volume?.setFull(false);
    await journal.write({ frames: frames.slice(5) });
    expect((await openAndScan()).hashes).toEqual(frames.map(({ hash }) => hash));
  });

  test('takes a bounded number of waiting steps (I10)', async () => {
    const { journal } = await openAndScan();
    const outcomes = await Promise.allSettled(Array.from({ length: maxQueuedSteps + 1 }, () => journal.write({})));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(maxQueuedSteps);
    expect(outcomes.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'queue_full' } });
  });

  test('closes after what waits, and takes nothing more', async () => {
    const frames = framesAfter(null, 3);
    const { journal } = await openAndScan();
    const written = journal.write({ frames });
    await journal.close();
    await written;
    await expect(journal.write({})).rejects.toMatchObject({ code: 'stopping' });
    expect((await openAndScan()).hashes).toHaveLength(3);
  });
});
