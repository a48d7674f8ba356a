// The keys of changes that are replayed, what a damaged archive gives, and a discarded tail that becomes part of the log again.
import { afterEach, describe, expect, test } from '@jest/globals';
import { limits, type Change } from '../../sidecar/core/frame.ts';
import type { ArchivedChange, Journal } from '../../sidecar/ports.ts';
import { replayed } from '../../sidecar/replay.ts';
import { MemoryCluster } from '../lib/memory-cluster.ts';
import { collect, epochOf, framesAfter, put } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { archiveDirectory, openOn } from '../lib/volatile-journal.ts';

const own = framesAfter(null, 3, 'own', epochOf(2, 'other'));
/** A journal that gave `own` up. */
async function archived(disk: VolatileDisk): Promise<{ journal: Journal; id: string }> {
  const { journal } = await openOn(disk);
  await journal.write({ frames: own });
  const tail = await journal.write({ truncateTo: 0 });
  return { journal, id: tail?.id ?? '' };
}

describe('the key of a change that is replayed', () => {
  const at = (uid: number, epoch = epochOf(2, 'nonce'), change: Change = put('a', '1')): ArchivedChange => ({ uid, epoch, change });

  test('is its own where it has one', () => {
    expect(replayed(at(7, epochOf(2), { ...put('a', '1'), idempotencyKey: 'mine' }))).toEqual({
      ...put('a', '1'),
      idempotencyKey: 'mine',
    });
  });

  test('is otherwise one for the change, whichever archive it stands in, and another for any other', () => {
    expect(replayed(at(7))).toEqual({ ...put('a', '1'), idempotencyKey: 'replay-0.2.nonce-7' });
    expect(replayed(at(8)).idempotencyKey).not.toBe(replayed(at(7)).idempotencyKey);
    expect(replayed(at(7, epochOf(2, 'another'))).idempotencyKey).not.toBe(replayed(at(7)).idempotencyKey);
    const longest = { generation: Number.MAX_SAFE_INTEGER, number: Number.MAX_SAFE_INTEGER, nonce: 'f'.repeat(32) };
    expect(replayed(at(Number.MAX_SAFE_INTEGER, longest)).idempotencyKey?.length).toBeLessThanOrEqual(limits.idempotencyKeyBytes);
  });
});

describe('an archive on the disk', () => {
  test('gives nothing when any byte of it is another', async () => {
    const disk = new VolatileDisk();
    const { journal, id } = await archived(disk);
    const path = `${archiveDirectory}/${id}.ndjson`;
    const sound = Buffer.from(disk.contentOf(path));
    for (let at = 0; at < sound.length; at += 1) {
      const other = Buffer.from(sound);
      other.writeUInt8(other.readUInt8(at) ^ (1 << (at % 8)), at);
      const file = await disk.open(path, 'write');
      await file.write(other, 0);
      await file.close();
      const given: ArchivedChange[] = [];
      const read = async (): Promise<void> => {
        for await (const each of journal.archivedChanges(id)) given.push(each);
      };
      await expect(read()).rejects.toMatchObject({ code: 'archive_corrupt' });
      expect(given).toEqual([]);
    }
  });
});

describe('a cluster', () => {
  let cluster: MemoryCluster;
  afterEach(() => cluster.stop());

  test('takes each change of a discarded tail once, however often the tail is replayed and on whichever member (I8)', async () => {
    const { journal, id } = await archived(new VolatileDisk());
    cluster = await MemoryCluster.running(3);
    const changes = (await collect(journal.archivedChanges(id))).map(replayed);
    for (const pod of ['m-1', 'm-0', 'm-2']) for (const change of changes) await cluster.sidecar(pod).process.submit(change);
    const { process } = cluster.sidecar('m-0');
    expect(process.uid).toBe(3);
    expect(process.list('own', 10, '').map(({ key, uid }) => [key, uid])).toEqual([
      ['own1', 1],
      ['own2', 2],
      ['own3', 3],
    ]);
  });
});
