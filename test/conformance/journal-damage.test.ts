// Any bit flipped in any file of a journal is found at the next start: refused by the name of the file, or named and repaired, or set aside and logged.
// Only what cannot be told from a torn write, the last record of the log, is cut instead, and that is logged.
import { beforeAll, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { Store } from '../../sidecar/core/store.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { epochOf, frameAfter, framesAfter, promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { archiveDirectory, checkpointDirectory, journalDirectory, logDirectory, openOn, type Opened } from '../lib/volatile-journal.ts';

const testTimeoutMs = 120_000;
const common = framesAfter(null, 7);
const replaced = framesAfter(common[6] ?? null, 2, 'gone');
const frames = [...common, ...framesAfter(common[6] ?? null, 4, 'b', epochOf(2))];

/** A log with sealed segments, two checkpoints, a compacted begin, an archived tail. */
async function build(disk: VolatileDisk): Promise<Journal> {
  const { journal } = await openOn(disk);
  await journal.write({ hardState: promised(epochOf(1)) });
  for (const frame of [...common, ...replaced]) await journal.write({ frames: [frame] });
  await journal.makeCheckpoint(3);
  await journal.makeCheckpoint(5);
  await journal.compact();
  await journal.write({ truncateTo: 7 });
  for (const frame of frames.slice(7)) await journal.write({ frames: [frame] });
  return journal;
}

const files = async (disk: VolatileDisk, directory: string): Promise<string[]> =>
  (await disk.list(directory)).sort().map((name) => `${directory}/${name}`);

type Verdict = 'refused' | 'repaired' | 'set aside' | 'cut';

/** Fills what is reported as damaged, and reads all. */
async function mended({ journal }: Opened, all: readonly Frame[]): Promise<{ hashes: string[]; store: Store }> {
  for (let [damage] = journal.damage; damage !== undefined; [damage] = journal.damage) {
    const { fromIndex, toIndex, hash } = damage;
    expect(all[toIndex - 1]?.hash).toBe(hash);
    await expect(collectAll(journal)).rejects.toMatchObject({ code: 'journal_corrupt' });
    await journal.repair(all.slice(fromIndex - 1, toIndex));
  }
  return collectAll(journal);
}

async function collectAll(journal: Journal): Promise<{ hashes: string[]; store: Store }> {
  const [hashes, store] = [[] as string[], new Store()];
  for await (const record of journal.checkpointState()) store.restore(record);
  ({ uid: store.uid, index: store.index } = journal.checkpoint?.position ?? { uid: 0, index: 0 });
  for await (const frame of journal.recovered()) {
    hashes.push(frame.hash);
    if (frame.index > store.index) store.apply(frame);
  }
  return { hashes, store };
}

const keys = (store: Store): string[] => store.list('', 1000, '').map(({ key }) => key);

async function judge(disk: VolatileDisk, path: string, all: readonly Frame[]): Promise<Verdict> {
  try {
    const opened = await openOn(disk, { scan: false });
    const repaired = opened.journal.damage.length > 0;
    const { hashes, store } = await mended(opened, all);
    const kept = all.slice(opened.journal.base.position.index, opened.journal.base.position.index + hashes.length);
    expect(hashes).toEqual(kept.map(({ hash }) => hash));
    expect(opened.said).not.toEqual([]);
    const isWhole = opened.journal.base.position.index + hashes.length === all.length;
    if (isWhole) {
      const expected = new Store();
      for (const frame of all) expected.apply(frame);
      expect(keys(store)).toEqual(keys(expected));
      const again = await openOn(disk);
      expect(again.hashes).toEqual(hashes);
    }
    if (!isWhole) return 'cut';
    return repaired ? 'repaired' : 'set aside';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(['journal_corrupt', 'journal_version']).toContain(error.code);
    expect(error.detail).toContain(path);
    return 'refused';
  }
}

function flipped(disk: VolatileDisk, path: string, at: number): Buffer {
  const bytes = Buffer.from(disk.contentOf(path));
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
  return bytes;
}

/** How each flipped bit of a file ends, in order of its offset. */
async function flipAll(disk: VolatileDisk, path: string, all: readonly Frame[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (let at = 0; at < disk.contentOf(path).length; at += 1) {
    const damaged = disk.afterPowerLoss({ kind: 'all' });
    const bytes = Buffer.from(disk.contentOf(path));
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
    damaged.replaceContent(path, bytes);
    verdicts.push(await judge(damaged, path, all));
  }
  return verdicts;
}

const headerBytes = 32;
let disk: VolatileDisk;
beforeAll(async () => {
  disk = new VolatileDisk();
  await build(disk);
});

describe('a bit flipped anywhere', () => {
  test(
    'in a sealed segment is repaired; in its header refused',
    async () => {
      const segments = await files(disk, logDirectory);
      expect(segments.length).toBeGreaterThan(2);
      for (const path of segments.slice(0, -1)) {
        const verdicts = await flipAll(disk, path, frames);
        expect(new Set(verdicts.slice(0, headerBytes))).toEqual(new Set(['refused']));
        expect(new Set(verdicts.slice(headerBytes))).toEqual(new Set(['repaired']));
      }
    },
    testTimeoutMs,
  );

  test(
    'in the last segment is repaired where a later record proves it durable, and cut in the last record',
    async () => {
      const path = (await files(disk, logDirectory)).at(-1) ?? '';
      const verdicts = (await flipAll(disk, path, frames)).slice(headerBytes);
      const lastRecord = disk.contentOf(path).lastIndexOf(Buffer.from([0xff, 0x43, 0x43, 0x52])) - headerBytes;
      expect(lastRecord).toBeGreaterThan(0);
      expect(new Set(verdicts.slice(0, lastRecord))).toEqual(new Set(['repaired']));
      expect(new Set(verdicts.slice(lastRecord))).toEqual(new Set(['cut']));
    },
    testTimeoutMs,
  );

  test(
    'in a checkpoint sets it aside for the other one',
    async () => {
      for (const path of await files(disk, checkpointDirectory))
        expect(new Set(await flipAll(disk, path, frames))).toEqual(new Set(['set aside']));
    },
    testTimeoutMs,
  );

  test('in the hard state is refused', async () => {
    // The line feed at the end means nothing.
    expect(new Set((await flipAll(disk, `${journalDirectory}/hard-state`, frames)).slice(0, -1))).toEqual(new Set(['refused']));
  });

  test('in the sum of an archive is logged, or the sum is not that of the archive', async () => {
    const [content = '', sumFile = ''] = await files(disk, archiveDirectory);
    for (let at = 0; at < disk.contentOf(sumFile).length; at += 1) {
      const damaged = disk.afterPowerLoss({ kind: 'all' });
      damaged.replaceContent(sumFile, flipped(disk, sumFile, at));
      const { journal, said } = await openOn(damaged);
      const [archive] = await journal.archives();
      if (archive === undefined) expect(said).toEqual(['an archive has no valid checksum file']);
      else expect(archive.sha256).not.toBe(sha256(damaged.contentOf(content)));
    }
  });

  test('in both checkpoints of a compacted log is refused', async () => {
    const damaged = disk.afterPowerLoss({ kind: 'all' });
    for (const path of await files(damaged, checkpointDirectory)) damaged.replaceContent(path, flipped(disk, path, 30));
    await expect(openOn(damaged)).rejects.toMatchObject({ code: 'journal_corrupt' });
  });

  test(
    'in the intent of a rewind is refused, repaired, or cut in its last record',
    async () => {
      const other = framesAfter(common[5] ?? null, 2, 'r', epochOf(3));
      const { stopped, path } = await stoppedWith('.rewind', (journal) => journal.write({ truncateTo: 6, frames: other }));
      const verdicts = await flipAll(stopped, path, [...common.slice(0, 6), ...other]);
      expect(new Set(verdicts.slice(0, headerBytes))).toEqual(new Set(['refused']));
      expect(new Set(verdicts.slice(headerBytes))).toEqual(new Set(['repaired', 'cut']));
    },
    testTimeoutMs,
  );

  test(
    'in the intent of a snapshot is refused',
    async () => {
      const { stopped, path } = await stoppedWith('.installing', async (journal) => {
        const { id, bytes } = source.snapshot() ?? { id: '', bytes: 0 };
        await journal.receiveSnapshot(id, bytes, 0, (await source.readSnapshot(id, 0, bytes)) ?? new Uint8Array());
        await journal.installSnapshot(id);
      });
      expect(new Set(await flipAll(stopped, path, frames))).toEqual(new Set(['refused']));
    },
    testTimeoutMs,
  );
});

let source: Journal;
beforeAll(async () => {
  source = (await openOn(new VolatileDisk())).journal;
  await source.write({ frames: [...frames, frameAfter(frames.at(-1) ?? null, [], epochOf(4))] });
  await source.makeCheckpoint(frames.length + 1);
});

/** The disk as a crash leaves it when a file of this kind has just appeared. */
async function stoppedWith(suffix: string, act: (journal: Journal) => Promise<unknown>): Promise<{ stopped: VolatileDisk; path: string }> {
  for (let stop = 1; stop < 1000; stop += 1) {
    const each = new VolatileDisk();
    const journal = await build(each);
    each.stopBefore = each.operations + stop;
    await Promise.race([act(journal), each.stopped]);
    for (const directory of [logDirectory, checkpointDirectory]) {
      const path = (await files(each, directory)).find((name) => name.endsWith(suffix));
      if (path !== undefined) return { stopped: each.afterPowerLoss({ kind: 'all' }), path };
    }
  }
  throw new Error(`no ${suffix} appeared`);
}
