// A life of a journal with steps of every kind, what it must hold after each, and the judgement of a disk that lost power in between:
// what was answered is there, the rest is there in order or not at all, and nothing left the log without standing in the archive (I2, I5).
import { gunzipSync } from 'node:zlib';
import { expect } from '@jest/globals';
import { emptyPosition, noEpoch, type Epoch } from '../../common/position.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { Store } from '../../sidecar/core/store.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal, JournalWrite } from '../../sidecar/ports.ts';
import { decodedSnapshot } from './memory-checkpoint.ts';
import { epochOf, frameAfter, framesAfter, promised } from './sample-frames.ts';
import { VolatileDisk } from './volatile-disk.ts';
import { archiveDirectory, checkpointDirectory, openOn } from './volatile-journal.ts';

/** Two records and a part, so that some appends make a segment grow and some do not. */
const roomBytes = 900;

type Step = (journal: Journal) => Promise<unknown>;

interface ModelState {
  /** The whole log, also what is compacted. */
  readonly frames: readonly Frame[];
  readonly promise: Epoch;
  /** Frames that are in the log no more. */
  readonly removed: readonly Frame[];
  /** Indexes of the checkpoints that are kept. */
  readonly checkpoints: readonly number[];
}

export interface Life {
  readonly steps: readonly Step[];
  /** Before the first step, and after each. */
  readonly states: readonly ModelState[];
}

class Biographer {
  readonly steps: Step[] = [];
  readonly states: ModelState[] = [];
  #state: ModelState = { frames: [], promise: noEpoch, removed: [], checkpoints: [] };

  constructor() {
    this.states.push(this.#state);
  }

  #add(step: Step, change: Partial<ModelState> = {}): void {
    this.#state = { ...this.#state, ...change };
    this.steps.push(step);
    this.states.push(this.#state);
  }

  write(step: JournalWrite): void {
    const { frames, promise, removed, checkpoints } = this.#state;
    const keep = step.truncateTo ?? frames.length;
    this.#add((journal) => journal.write(step), {
      frames: [...frames.slice(0, keep), ...(step.frames ?? [])],
      promise: step.hardState?.promise ?? promise,
      removed: [...removed, ...frames.slice(keep)],
      checkpoints: checkpoints.filter((index) => index <= keep),
    });
  }

  append(count: number, more: JournalWrite = {}): void {
    this.write({ ...more, frames: framesAfter(this.end(), count, `s${String(this.steps.length)}-`) });
  }

  end(at = -1): Frame | null {
    return this.#state.frames.at(at) ?? null;
  }

  checkpoint(index: number): void {
    this.#add((journal) => journal.makeCheckpoint(index), { checkpoints: [...this.#state.checkpoints, index].slice(-2) });
  }

  compact(): void {
    this.#add((journal) => journal.compact());
  }

  copy(timeMs: number): void {
    this.#add((journal) => journal.archiveCopy(timeMs, { count: 1, ageMs: 0 }));
  }

  /** In two chunks; `frames` are those that it stands for. */
  snapshot(id: string, bytes: Buffer, frames: readonly Frame[]): void {
    const half = Math.floor(bytes.length / 2);
    // A chunk that was received before a crash may be lost: as another member would, begin where the journal says.
    const receive = (end: number): void => {
      this.#add(async (journal) => {
        for (let held = -1; held < end;) {
          const from = Math.max(held, 0);
          held = await journal.receiveSnapshot(id, bytes.length, from, bytes.subarray(from, end));
        }
      });
    };
    receive(half);
    receive(bytes.length);
    const { removed, frames: before } = this.#state;
    const lost = before.filter((frame) => frames[frame.index - 1]?.hash !== frame.hash);
    this.#add((journal) => journal.installSnapshot(id), { frames, removed: [...removed, ...lost], checkpoints: [frames.length] });
  }
}

/** Appends, promises, rewinds. */
export function lifeOfWrites(): Life {
  const life = new Biographer();
  life.append(3, { hardState: promised(epochOf(1)) });
  for (let made = 0; made < 4; made += 1) life.append(1);
  life.write({ hardState: promised(epochOf(2)) });
  life.write({ truncateTo: 5, hardState: promised(epochOf(3)), frames: framesAfter(life.end(4), 2, 'r', epochOf(3)) });
  life.append(2);
  life.write({ frames: [frameAfter(life.end(), [], epochOf(3))] });
  life.write({ truncateTo: 1 });
  life.append(4);
  life.write({ truncateTo: 0, frames: framesAfter(null, 3, 'z', epochOf(4)) });
  life.append(1);
  return life;
}

/** Checkpoints, compaction, a rewind behind a checkpoint, a snapshot in the place of the log, copies, a rewind to the beginning. */
export async function lifeOfCheckpoints(): Promise<Life> {
  const life = new Biographer();
  for (let made = 0; made < 5; made += 1) life.append(1, made === 0 ? { hardState: promised(epochOf(1)) } : {});
  life.copy(1);
  life.checkpoint(3);
  life.checkpoint(5);
  life.append(2);
  life.checkpoint(6);
  life.compact();
  life.append(1);
  life.write({ truncateTo: 5, frames: framesAfter(life.end(4), 3, 'r', epochOf(2)) });
  life.checkpoint(7);
  life.copy(2);
  life.append(3);
  // Parts before the newest checkpoint.
  const other = framesAfter(life.end(5), 5, 'o', epochOf(3));
  const log = [...(life.states.at(-1)?.frames.slice(0, 6) ?? []), ...other];
  const disk = new VolatileDisk();
  const { journal } = await openOn(disk);
  await journal.write({ frames: log });
  await journal.makeCheckpoint(log.length);
  const { id, bytes } = journal.snapshot() ?? { id: '', bytes: 0 };
  const content = await journal.readSnapshot(id, 0, bytes);
  life.snapshot(id, Buffer.from(content ?? []), log);
  life.append(3);
  life.checkpoint(13);
  life.compact();
  life.append(1);
  life.write({ truncateTo: 0, hardState: promised(epochOf(4)), frames: framesAfter(null, 3, 'z', epochOf(4)) });
  life.append(1);
  return life;
}

/** Runs the steps, up to `atOnce` unanswered, until they are done or the disk stops. Returns how many were answered. */
export async function live({ steps }: Life, disk: VolatileDisk, atOnce: number): Promise<number> {
  let answered = 0;
  const work = async (): Promise<'done'> => {
    const { journal } = await openOn(disk, { roomBytes });
    for (let at = 0; at < steps.length; at += atOnce)
      await Promise.all(
        steps.slice(at, at + atOnce).map(async (step) => {
          await step(journal);
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
function admissible({ states }: Life, hashes: readonly string[], promise: Epoch, checkpoint: number, answered: number): boolean {
  return states.slice(answered).some((state, at) => {
    const next = states[answered + at + 1];
    const samePromise = state.promise.number === promise.number;
    const own = hashesOf(state.frames);
    if (![state, next].some((each) => each !== undefined && (each.checkpoints.at(-1) ?? 0) === checkpoint)) return false;
    if (own.join() === hashes.join() && (samePromise || next?.promise.number === promise.number)) return true;
    const following = hashesOf(next?.frames ?? []);
    return next?.promise.number === promise.number && startsWith(hashes, own) && startsWith(following, hashes);
  });
}

const picture = (store: Store): unknown => ({ uid: store.uid, index: store.index, entries: store.list('', 1000, '') });

/** Judges what the next start finds, then goes on from there. */
export async function judge(life: Life, disk: VolatileDisk, answered: number): Promise<void> {
  const { journal, hashes, fatal } = await openOn(disk, { roomBytes });
  const every = life.states.flatMap(({ frames }) => frames);
  const { position } = journal.base;
  const before = life.states.find(({ frames }) => (frames[position.index - 1]?.hash ?? emptyPosition.hash) === position.hash);
  const log = [...hashesOf(before?.frames.slice(0, position.index) ?? []), ...hashes];
  const checkpoint = journal.checkpoint?.position.index ?? 0;
  const found = { log, promise: journal.hardState.promise, checkpoint, base: position.index };
  expect({
    ...found,
    admissible: before !== undefined && admissible(life, log, journal.hardState.promise, checkpoint, answered),
  }).toMatchObject({
    admissible: true,
  });
  const names = (await disk.list(checkpointDirectory)).filter((name) => name.endsWith('.checkpoint')).sort();
  // All stand on the log, and the log reaches back to the older of the newest two.
  for (const name of names) expect(log[Number(name.slice(0, 16)) - 1]?.slice(0, 16)).toBe(name.slice(17, 33));
  expect(position.index).toBeLessThanOrEqual(Number(names.slice(-2)[0]?.slice(0, 16) ?? 0));
  const [restored, model] = [new Store(), new Store()];
  for await (const record of journal.checkpointState()) restored.restore(record);
  ({ uid: restored.uid, index: restored.index } = journal.checkpoint?.position ?? emptyPosition);
  for (const hash of log) {
    const frame = every.find((each) => each.hash === hash);
    if (frame === undefined) throw new Error(`nobody wrote ${hash}`);
    model.apply(frame);
    if (frame.index > restored.index) restored.apply(frame);
  }
  expect(picture(restored)).toEqual(picture(model));
  const archived = await archivedOperations(journal, disk);
  const missing = (life.states[answered]?.removed ?? [])
    .concat(life.states[answered]?.frames ?? [])
    .filter(({ hash }) => !log.includes(hash))
    .flatMap(({ changes }) => changes.map(({ operations }) => JSON.stringify(operations)))
    .filter((operations) => !archived.has(operations));
  expect(missing).toEqual([]);
  // It goes on from there, and the next start agrees.
  const more = framesAfter(every.find(({ hash }) => hash === log.at(-1)) ?? null, 2, 'after');
  await journal.write({ frames: more });
  const again = await openOn(disk.afterPowerLoss({ kind: 'none' }), { roomBytes });
  expect(again.hashes).toEqual([...hashes, ...hashesOf(more)]);
  expect(again.journal.checkpoint).toEqual(journal.checkpoint);
  expect(fatal).toEqual([]);
}

/** Of all changes in the archive, whose files are as their sums say. */
async function archivedOperations(journal: Journal, disk: VolatileDisk): Promise<Set<string>> {
  const archived = new Set<string>();
  for (const { id, kind, sha256: sum } of await journal.archives()) {
    const content = disk.contentOf(`${archiveDirectory}/${id}.${kind === 'diverged' ? 'ndjson' : 'gz'}`);
    expect(sha256(content)).toBe(sum);
    if (kind === 'copy') expect(gunzipSync(content).length).toBeGreaterThan(0);
    else if (kind === 'state') {
      for (const record of (await decodedSnapshot(gunzipSync(content))).records)
        if (record.kind === 'entry') archived.add(JSON.stringify([{ put: { key: record.key, value: record.value } }]));
    } else
      for (const line of content.toString().trimEnd().split('\n'))
        archived.add(JSON.stringify((JSON.parse(line) as { operations: unknown }).operations));
  }
  return archived;
}
