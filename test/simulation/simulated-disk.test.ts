// The simulated disk is no kinder than a real one: what is synced stays, of what is not anything may be left, and every operation takes its time.
import { describe, expect, test } from '@jest/globals';
import type { Disk } from '../../sidecar/journal/disk.ts';
import { Chance } from './chance.ts';
import { FileContent } from './file-content.ts';
import { Scheduler } from './scheduler.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { Trace } from './trace.ts';

const machine = { number: 0, paused: false, held: [] };

function newDisk(seed: number) {
  const chance = new Chance(seed);
  const scheduler = new Scheduler(chance, new Trace());
  const disk = new SimulatedDisk(chance, scheduler, { operationMs: 1, syncMs: 5 });
  const life = { dead: false };
  const carryOut = async <T>(work: (mounted: Disk) => Promise<T>, process = life): Promise<T> => {
    let isOver = false;
    const result = work(disk.mount(machine, process)).finally(() => (isOver = true));
    // Whoever awaits the result takes the rejection.
    result.catch(() => undefined);
    await scheduler.run(() => isOver);
    return result;
  };
  return { disk, life, scheduler, carryOut };
}

const content = Buffer.from('0123456789');
const make = async (disk: Disk): Promise<void> => {
  await disk.makeDirectory('/d');
  const file = await disk.open('/d/file', 'create');
  await file.write(content, 0);
};
const syncAll = async (disk: Disk): Promise<void> => {
  await (await disk.open('/d/file', 'write')).datasync();
  await disk.syncDirectory('/d');
};
const read = async (disk: Disk): Promise<string> => {
  if (!(await disk.list('/d')).includes('file')) return 'absent';
  return (await (await disk.open('/d/file', 'read')).read(0, 100)).toString();
};

describe('a simulated disk', () => {
  test('keeps what was synced through any loss of power', async () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const { disk, carryOut } = newDisk(seed);
      await carryOut(make);
      await carryOut(syncAll);
      disk.losePower();
      expect(await carryOut(read)).toBe(content.toString());
    }
  });

  test('may keep, lose, tear or damage what was not', async () => {
    const found = new Set<string>();
    for (let seed = 0; seed < 300; seed += 1) {
      const { disk, carryOut } = newDisk(seed);
      await carryOut(make);
      disk.losePower();
      const left = await carryOut(read);
      const isWhole = left.length === content.length;
      found.add(left === content.toString() ? 'kept' : left === 'absent' || left === '' ? 'lost' : isWhole ? 'damaged' : 'torn');
    }
    expect([...found].sort()).toEqual(['damaged', 'kept', 'lost', 'torn']);
  });

  test('flips bits of what is durable, and what is not synced yet is written over them', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const file = new FileContent();
      file.change({ kind: 'write', position: 0, bytes: Buffer.from('0123') });
      file.sync();
      file.change({ kind: 'write', position: 0, bytes: Buffer.from('abc') });
      file.flipBit(new Chance(seed));
      expect(file.durableBytes.toString()).not.toBe('0123');
      expect(file.bytes.subarray(0, 3).toString()).toBe('abc');
      file.sync();
      expect(file.durableBytes).toEqual(file.bytes);
    }
  });

  test('does nothing more for a process that has ended, but for what was under way, which may happen', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 50; seed += 1) {
      const { disk, life, scheduler, carryOut } = newDisk(seed);
      await carryOut(make);
      const steps = scheduler.steps + 1;
      void disk
        .mount(machine, life)
        .open('/d/file', 'write')
        .then((file) => file.truncate(0));
      await scheduler.run(() => scheduler.steps === steps);
      life.dead = true;
      disk.abandon();
      outcomes.add(await carryOut(read, { dead: false }));
    }
    expect([...outcomes].sort()).toEqual(['', content.toString()]);
  });

  test('that is full takes a part and says ENOSPC, and one that fails its syncs says EIO', async () => {
    const { disk, carryOut } = newDisk(1);
    disk.full = true;
    await expect(carryOut(make)).rejects.toMatchObject({ code: 'ENOSPC' });
    disk.full = false;
    disk.failsSyncs = true;
    await carryOut(make);
    await expect(carryOut(syncAll)).rejects.toMatchObject({ code: 'EIO' });
  });
});
