// A journal in memory with the contract of the one on disk, for simulations: what is durable outlives `crash`, what is not may be lost,
// whole or in part. It keeps no bytes, so it cannot be damaged.
import assert from 'node:assert/strict';
import { AppError } from '../../common/errors.ts';
import { lastUid } from '../../sidecar/core/frame.ts';
import { emptyHardState, type HardState } from '../../sidecar/core/hard-state.ts';
import { maxQueuedSteps } from '../../sidecar/journal/group-commit.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { ArchivedTail, Journal, JournalWrite, LoggedFrame } from '../../sidecar/ports.ts';

/** What is durable. */
export interface MemoryDisk {
  hardState: HardState;
  frames: LoggedFrame[];
  archives: ArchivedTail[];
  /** Writes of frames find no room. */
  full: boolean;
}
export const emptyMemoryDisk = (): MemoryDisk => ({ hardState: emptyHardState, frames: [], archives: [], full: false });

/** How much of the step that a crash met had reached the disk. A rewind is whole or absent; its archive may be there before it. */
export type PartOfStep = 'nothing' | 'hardState' | 'archive' | { readonly frames: number };

interface Waiting {
  readonly step: JournalWrite;
  readonly resolve: (tail: ArchivedTail | null) => void;
  readonly reject: (error: unknown) => void;
}

export class MemoryJournal implements Journal {
  readonly disk: MemoryDisk;
  /** Steps wait for `sync` instead of becoming durable by themselves. */
  #held: boolean;
  readonly #waiting: Waiting[] = [];
  #state: 'opened' | 'scanned' | 'closed' = 'opened';

  constructor(disk: MemoryDisk = emptyMemoryDisk(), held = false) {
    this.disk = disk;
    this.#held = held;
  }

  get hardState(): HardState {
    return this.disk.hardState;
  }

  async *recovered(): AsyncGenerator<LoggedFrame> {
    assert.equal(this.#state, 'opened', 'recovered() is read once');
    yield* this.disk.frames;
    this.#state = 'scanned';
  }

  write(step: JournalWrite): Promise<ArchivedTail | null> {
    assert.notEqual(this.#state, 'opened', 'recovered() is read to its end before the first write');
    if (this.#state === 'closed') return Promise.reject(new AppError('stopping', 'the journal is closed'));
    if (this.#waiting.length >= maxQueuedSteps) return Promise.reject(new AppError('queue_full', 'too many steps wait'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ step, resolve, reject });
      if (!this.#held && this.#waiting.length === 1)
        queueMicrotask(() => {
          this.sync();
        });
    });
  }

  /** From now on steps wait for `sync`. */
  hold(): void {
    this.#held = true;
  }

  /** From now on steps become durable by themselves again. */
  release(): void {
    this.#held = false;
    this.sync();
  }

  /** Makes the first `count` waiting steps durable and answers them. */
  sync(count: number = this.#waiting.length): void {
    for (let left = count; left > 0; left -= 1) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      try {
        next.resolve(this.#apply(next.step, { frames: Infinity }));
      } catch (error) {
        // What waits behind builds on what failed.
        for (const { reject } of [next, ...this.#waiting.splice(0)]) reject(error);
      }
    }
  }

  /** The process ends: the first `count` waiting steps had reached the disk, and `part` of the next. None is answered. Returns the journal of the next start. */
  crash(count = 0, part: PartOfStep = 'nothing'): MemoryJournal {
    const [...lost] = this.#waiting.splice(0);
    this.#state = 'closed';
    for (const { step } of lost.splice(0, count)) this.#apply(step, { frames: Infinity });
    const next = lost.at(0);
    if (next !== undefined && part !== 'nothing') this.#apply(next.step, part);
    return new MemoryJournal(this.disk, this.#held);
  }

  #apply({ hardState, truncateTo, frames = [] }: JournalWrite, part: Exclude<PartOfStep, 'nothing'>): ArchivedTail | null {
    const { disk } = this;
    const keepTo = truncateTo ?? disk.frames.length;
    assert(keepTo <= disk.frames.length, 'a truncation lies within the log');
    let last = disk.frames[keepTo - 1]?.frame;
    for (const { frame } of frames) {
      assert(
        frame.index === (last?.index ?? 0) + 1 && frame.prevHash === (last?.hash ?? ''),
        `frame ${String(frame.index)} does not continue`,
      );
      last = frame;
    }
    if (hardState !== undefined) disk.hardState = hardState;
    if (part === 'hardState') return null;
    if (disk.full && (frames.length > 0 || keepTo < disk.frames.length)) throw new AppError('disk_full', 'the disk in memory is full');
    const tail = describeTail(disk.frames.slice(keepTo));
    if (tail !== null) disk.archives = [...disk.archives.filter(({ id }) => id !== tail.id), tail].sort((a, b) => a.firstUid - b.firstUid);
    if (part === 'archive') return null;
    const whole = keepTo < disk.frames.length;
    disk.frames.splice(keepTo, Infinity, ...(whole ? frames : frames.slice(0, part.frames)));
    return tail;
  }

  async read(fromIndex: number, maxBytes: number): Promise<LoggedFrame[]> {
    assert.notEqual(this.#state, 'opened', 'recovered() is read to its end before the first read');
    assert(fromIndex >= 1, 'frames are counted from 1');
    let bytes = 0;
    const from = this.disk.frames.slice(fromIndex - 1);
    const over = from.findIndex(({ frame }, at) => (bytes += frame.bytes.length) > maxBytes && at > 0);
    return over === -1 ? from : from.slice(0, over);
  }

  archives(): Promise<ArchivedTail[]> {
    return Promise.resolve([...this.disk.archives]);
  }

  async close(): Promise<void> {
    this.sync();
    this.#state = 'closed';
  }
}

function describeTail(tail: readonly LoggedFrame[]): ArchivedTail | null {
  const [first, last] = [tail[0]?.frame, tail.at(-1)?.frame];
  if (first === undefined || last === undefined || lastUid(last) < first.firstUid) return null;
  const id = `diverged-${String(last.epoch.generation)}.${String(last.epoch.number)}-${String(first.firstUid)}-${String(lastUid(last))}-${last.hash.slice(0, 8)}`;
  return { id, firstUid: first.firstUid, lastUid: lastUid(last), changes: lastUid(last) - first.firstUid + 1, sha256: sha256(id) };
}
