// Power lost before each operation on the disk, in openings and rewinds too, with an arbitrary part of what was not synced surviving:
// what was answered is there, the rest is there in order or not at all, and nothing left the log without standing in the archive (I2, I5).
// The disk is a model: contents and names survive independently and in any subset; directories themselves are durable at once.
import { describe, expect, test } from '@jest/globals';
import { noEpoch, type Epoch } from '../../common/position.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { JournalWrite } from '../../sidecar/ports.ts';
import { epochOf, frameAfter, framesAfter, logged } from '../lib/sample-frames.ts';
import { VolatileDisk, type Survival } from '../lib/volatile-disk.ts';
import { archiveDirectory, openOn } from '../lib/volatile-journal.ts';

interface ModelState {
  readonly frames: readonly Frame[];
  readonly promise: Epoch;
  /** Hashes of frames with changes that are in the log no more. */
  readonly removed: readonly Frame[];
}

/** Steps of every kind, and what the journal holds before the first and after each. */
function scenario(): { steps: JournalWrite[]; states: ModelState[] } {
  const steps: JournalWrite[] = [];
  const states: ModelState[] = [{ frames: [], promise: noEpoch, removed: [] }];
  const add = (step: JournalWrite): void => {
    const before = states.at(-1) ?? { frames: [], promise: noEpoch, removed: [] };
    const keep = step.truncateTo ?? before.frames.length;
    steps.push(step);
    states.push({
      frames: [...before.frames.slice(0, keep), ...(step.frames ?? []).map(({ frame }) => frame)],
      promise: step.promise ?? before.promise,
      removed: [...before.removed, ...before.frames.slice(keep)],
    });
  };
  const end = (at?: number): Frame | null => states.at(-1)?.frames.at(at ?? -1) ?? null;
  const append = (count: number, more: JournalWrite = {}): void => {
    add({ ...more, frames: logged(framesAfter(end(), count, `s${String(steps.length)}-`)) });
  };
  append(3, { promise: epochOf(1) });
  for (let made = 0; made < 4; made += 1) append(1);
  add({ promise: epochOf(2) });
  add({ truncateTo: 5, promise: epochOf(3), frames: logged(framesAfter(end(4), 2, 'r', epochOf(3))) });
  append(2);
  add({ frames: logged([frameAfter(end(), [], epochOf(3))]) });
  add({ truncateTo: 1 });
  append(4);
  add({ truncateTo: 0, frames: logged(framesAfter(null, 3, 'z', epochOf(4))) });
  append(1);
  return { steps, states };
}
const { steps, states } = scenario();

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

/** Runs the steps, up to `atOnce` unanswered, until they are done or the disk stops. Returns how many were answered. */
async function run(disk: VolatileDisk, atOnce: number): Promise<number> {
  let answered = 0;
  const work = async (): Promise<'done'> => {
    const { journal } = await openOn(disk);
    for (let at = 0; at < steps.length; at += atOnce)
      await Promise.all(
        steps.slice(at, at + atOnce).map(async (step) => {
          await journal.write(step);
          answered += 1;
        }),
      );
    return 'done';
  };
  await Promise.race([work(), disk.stopped]);
  return answered;
}

const hashesOf = (frames: readonly Frame[]): string[] => frames.map(({ hash }) => hash);
const startsWith = (list: readonly string[], start: readonly string[]): boolean => start.every((each, at) => list[at] === each);

/** The states that a journal may be in when `answered` steps were answered: one of them, or on the way to the next. */
function admissible(hashes: readonly string[], promise: Epoch, answered: number): boolean {
  return states.slice(answered).some((state, at) => {
    const next = states[answered + at + 1];
    const samePromise = state.promise.number === promise.number;
    const own = hashesOf(state.frames);
    if (own.join() === hashes.join() && (samePromise || next?.promise.number === promise.number)) return true;
    const following = hashesOf(next?.frames ?? []);
    return next?.promise.number === promise.number && startsWith(hashes, own) && startsWith(following, hashes);
  });
}

async function check(disk: VolatileDisk, answered: number): Promise<void> {
  const { journal, hashes } = await openOn(disk);
  expect({ hashes, promise: journal.promise, admissible: admissible(hashes, journal.promise, answered) }).toMatchObject({
    admissible: true,
  });
  const archived = new Set<string>();
  for (const { id, sha256: sum } of await journal.archives()) {
    const content = disk.contentOf(`${archiveDirectory}/${id}.ndjson`);
    expect(sha256(content)).toBe(sum);
    for (const line of content.toString().trimEnd().split('\n'))
      archived.add(JSON.stringify((JSON.parse(line) as { operations: unknown }).operations));
  }
  const missing = (states[answered]?.removed ?? [])
    .concat(states[answered]?.frames ?? [])
    .filter(({ hash }) => !hashes.includes(hash))
    .flatMap(({ changes }) => changes.map(({ operations }) => JSON.stringify(operations)))
    .filter((operations) => !archived.has(operations));
  expect(missing).toEqual([]);
  // It goes on from there, and the next start agrees.
  const last = states.flatMap(({ frames }) => frames).find(({ hash }) => hash === hashes.at(-1)) ?? null;
  const more = framesAfter(last, 2, 'after');
  await journal.write({ frames: logged(more) });
  const again = await openOn(disk.afterPowerLoss({ kind: 'none' }));
  expect(again.hashes).toEqual([...hashes, ...hashesOf(more)]);
}

const testTimeoutMs = 60_000;

describe.each([1, 4])('power lost anywhere, with up to %d steps unanswered', (atOnce) => {
  const variants: readonly ('all' | 'none' | 'some')[] = ['all', 'none', 'some', 'some', 'some', 'some'];
  const survivalOf = (kind: 'all' | 'none' | 'some', seed: number): Survival =>
    kind === 'some' ? { kind, random: chance(seed) } : { kind };

  test(
    'leaves what was answered',
    async () => {
      const whole = new VolatileDisk();
      expect(await run(whole, atOnce)).toBe(steps.length);
      expect(whole.operations).toBeGreaterThan(100);
      for (let stop = 1; stop <= whole.operations + 1; stop += 1) {
        const disk = new VolatileDisk();
        disk.stopBefore = stop;
        const answered = await run(disk, atOnce);
        for (const [variant, kind] of variants.entries())
          await check(disk.afterPowerLoss(survivalOf(kind, stop * 100 + variant)), answered);
      }
    },
    testTimeoutMs,
  );

  test(
    'and again while the journal opens',
    async () => {
      const whole = new VolatileDisk();
      await run(whole, atOnce);
      for (let stop = 1; stop <= whole.operations; stop += 1) {
        const disk = new VolatileDisk();
        disk.stopBefore = stop;
        const answered = await run(disk, atOnce);
        const random = chance(stop * 7919);
        const second = disk.afterPowerLoss({ kind: 'some', random });
        second.stopBefore = 1 + Math.floor(random() * 20);
        await Promise.race([openOn(second), second.stopped]);
        await check(second.afterPowerLoss({ kind: 'some', random }), answered);
      }
    },
    testTimeoutMs,
  );

  test(
    'after a process was killed there: what the next one found is built on, so it is durable (I2)',
    async () => {
      const whole = new VolatileDisk();
      await run(whole, atOnce);
      for (let stop = 1; stop <= whole.operations; stop += 1) {
        const disk = new VolatileDisk();
        disk.stopBefore = stop;
        await run(disk, atOnce);
        disk.stopBefore = Infinity;
        const { hashes, journal } = await openOn(disk);
        const again = await openOn(disk.afterPowerLoss({ kind: 'none' }));
        expect({ hashes: again.hashes, promise: again.journal.promise }).toEqual({ hashes, promise: journal.promise });
      }
    },
    testTimeoutMs,
  );
});
