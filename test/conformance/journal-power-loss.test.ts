// Power lost before each operation on the disk, in openings, rewinds, checkpoints and snapshots too. Of what was not synced every subset survives while it
// is small, and an arbitrary part, writes torn, beyond that (as ALICE and CrashMonkey do): see power-loss.ts for what must be there then (I2, I5).
// The disk is a model: contents and names survive independently and in any subset; directories themselves are durable at once.
import { describe, expect, test } from '@jest/globals';
import type { DamagedFrames, Journal } from '../../sidecar/ports.ts';
import { judge, lifeOfCheckpoints, lifeOfWrites, live, type Life } from '../lib/power-loss.ts';
import { framesAfter } from '../lib/sample-frames.ts';
import { VolatileDisk, type Survival, type Unsynced } from '../lib/volatile-disk.ts';
import { logDirectory, openOn } from '../lib/volatile-journal.ts';

/** Of so many unsynced operations each subset is tried. */
const maxExhaustive = 6;
const randomTries = 6;
const testTimeoutMs = 120_000;

/** A small generator of numbers in [0, 1), the same for the same seed (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function survivals(disk: VolatileDisk, seed: number): Survival[] {
  const unsynced = disk.unsynced();
  const random = Array.from({ length: randomTries }, (_, at): Survival => ({ kind: 'some', random: chance(seed * 100 + at) }));
  if (unsynced.length > maxExhaustive) return [{ kind: 'all' }, { kind: 'none' }, ...random];
  const subsets = Array.from({ length: 2 ** unsynced.length }, (_, mask): Survival => {
    const operations = new Set<Unsynced>(unsynced.filter((_operation, at) => ((mask >> at) & 1) === 1));
    return { kind: 'these', operations };
  });
  return [...subsets, ...random.slice(0, unsynced.length)];
}

describe.each([
  ['writes, one at a time', async () => lifeOfWrites(), 1],
  ['writes, with up to four unanswered', async () => lifeOfWrites(), 4],
  ['checkpoints, snapshots and copies', lifeOfCheckpoints, 1],
])('power lost anywhere in a life of %s', (_, makeLife, atOnce) => {
  async function cutAnywhere(then: (life: Life, disk: VolatileDisk, answered: number, stop: number) => Promise<void>): Promise<void> {
    const life = await makeLife();
    const whole = new VolatileDisk();
    expect(await live(life, whole, atOnce)).toBe(life.steps.length);
    expect(whole.operations).toBeGreaterThan(100);
    for (let stop = 1; stop <= whole.operations + 1; stop += 1) {
      const disk = new VolatileDisk();
      disk.stopBefore = stop;
      await then(life, disk, await live(life, disk, atOnce), stop);
    }
  }

  test(
    'leaves what was answered (I2, I5)',
    () =>
      cutAnywhere(async (life, disk, answered, stop) => {
        for (const survival of survivals(disk, stop)) await judge(life, disk.afterPowerLoss(survival), answered);
      }),
    testTimeoutMs,
  );

  test(
    'and again while the journal opens (I2, I5)',
    () =>
      cutAnywhere(async (life, disk, answered, stop) => {
        const random = chance(stop * 7919);
        const second = disk.afterPowerLoss({ kind: 'some', random });
        second.stopBefore = 1 + Math.floor(random() * 20);
        await Promise.race([openOn(second), second.stopped]);
        await judge(life, second.afterPowerLoss({ kind: 'some', random }), answered);
      }),
    testTimeoutMs,
  );

  test(
    'after a process was killed there: what the next one found is built on, so it is durable (I2)',
    () =>
      cutAnywhere(async (_life, disk) => {
        disk.stopBefore = Infinity;
        const { hashes, journal } = await openOn(disk);
        const again = await openOn(disk.afterPowerLoss({ kind: 'none' }));
        expect({ hashes: again.hashes, hardState: again.journal.hardState }).toEqual({ hashes, hardState: journal.hardState });
      }),
    testTimeoutMs,
  );
});

const frames = framesAfter(null, 9);
const ways: [string, number, (journal: Journal, damage: DamagedFrames) => Promise<void>][] = [
  ['by the frames', 0, (journal, { fromIndex, toIndex }) => journal.repair(frames.slice(fromIndex - 1, toIndex))],
  ['by leaving to the checkpoint what it holds', 7, (journal) => journal.beginBehindCheckpoint()],
];
test.each(ways)(
  'power lost anywhere in a repair %s leaves a log that can be repaired, and what was answered is repaired (I2)',
  async (_, keptFrom, mend) => {
    const hurt = async (): Promise<VolatileDisk> => {
      const disk = new VolatileDisk();
      const { journal } = await openOn(disk);
      for (const frame of frames) await journal.write({ frames: [frame] });
      if (keptFrom > 0) await journal.makeCheckpoint(keptFrom);
      const [first = '', second = '', third = ''] = (await disk.list(logDirectory)).sort().map((name) => `${logDirectory}/${name}`);
      disk.replaceContent(first, disk.contentOf(first).subarray(0, 100));
      disk.replaceContent(third, Buffer.from(disk.contentOf(third)).fill(0, 40, 60));
      await disk.remove(second);
      return disk.afterPowerLoss({ kind: 'all' });
    };
    /** Returns how many repairs were answered. */
    const repair = async (disk: VolatileDisk): Promise<number> => {
      let answered = 0;
      const work = async (): Promise<void> => {
        const { journal } = await openOn(disk, { scan: false });
        for (let [damage] = journal.damage; damage !== undefined; [damage] = journal.damage, answered += 1) await mend(journal, damage);
      };
      await Promise.race([work(), disk.stopped]);
      return answered;
    };
    const whole = await hurt();
    expect(await repair(whole)).toBe(1);
    expect(whole.operations).toBeGreaterThan(10);
    for (let stop = 1; stop <= whole.operations + 1; stop += 1) {
      const disk = await hurt();
      disk.stopBefore = stop;
      const answered = await repair(disk);
      for (const survival of survivals(disk, stop)) {
        const after = disk.afterPowerLoss(survival);
        const { journal } = await openOn(after, { scan: false });
        if (answered === 1) expect(journal.damage).toEqual([]);
        await repair(after);
        const { hashes, journal: repaired } = await openOn(after);
        expect(repaired.base.position).toMatchObject({ index: keptFrom, uid: keptFrom });
        expect(hashes).toEqual(frames.slice(keptFrom).map(({ hash }) => hash));
      }
    }
  },
  testTimeoutMs,
);
