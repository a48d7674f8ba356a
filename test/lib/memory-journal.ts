// A journal in memory with the contract of the one on disk: what is durable outlives `crash`, what is not may be lost, whole or in part.
// It keeps no bytes, so it cannot be damaged.
import assert from 'node:assert/strict';
import { AppError } from '../../common/errors.ts';
import { emptyPosition, type Position } from '../../common/position.ts';
import { lastUid, type Frame } from '../../sidecar/core/frame.ts';
import { emptyHardState, type HardState } from '../../sidecar/core/hard-state.ts';
import { maxQueuedSteps } from '../../sidecar/journal/group-commit.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { holds } from '../../sidecar/journal/install.ts';
import type { SnapshotHead, StateRecord } from '../../sidecar/core/snapshot.ts';
import type {
  Archive,
  ArchivedChange,
  ArchivedCopy,
  ArchivedTail,
  CopyRetention,
  Journal,
  JournalWrite,
  LogBase,
  PartialSnapshot,
  Snapshot,
} from '../../sidecar/ports.ts';
import { changesIn, describeTail } from './memory-archive.ts';
import { checkpointAfter, decodedSnapshot, type MemoryCheckpoint } from './memory-checkpoint.ts';

/** What is durable. */
export interface MemoryDisk {
  hardState: HardState;
  base: Position;
  /** Those after `base`. */
  frames: Frame[];
  /** The last two, in order. */
  checkpoints: MemoryCheckpoint[];
  received: { readonly id: string; readonly bytes: Buffer } | null;
  archives: Archive[];
  /** By the id of the tail. */
  archivedChanges: Map<string, readonly ArchivedChange[]>;
  /** Nothing finds room but a hard state. */
  full: boolean;
}
export const emptyMemoryDisk = (): MemoryDisk => ({
  hardState: emptyHardState,
  base: emptyPosition,
  frames: [],
  checkpoints: [],
  received: null,
  archives: [],
  archivedChanges: new Map(),
  full: false,
});

/** How much of the step that a crash met had reached the disk. A rewind is whole or absent; its archive may be there before it. */
export type PartOfStep = 'nothing' | 'hardState' | 'archive' | { readonly frames: number };

interface Waiting {
  readonly apply: (part: Exclude<PartOfStep, 'nothing'>) => ArchivedTail | null;
  readonly resolve: (tail: ArchivedTail | null) => void;
  readonly reject: (error: unknown) => void;
}

export class MemoryJournal implements Journal {
  readonly disk: MemoryDisk;
  readonly damage = [];
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

  async *recovered(): AsyncGenerator<Frame> {
    assert.equal(this.#state, 'opened', 'recovered() is read once');
    yield* this.disk.frames;
    this.#state = 'scanned';
  }

  async repair(): Promise<void> {
    throw new AppError('journal_corrupt', 'memory has no damage');
  }

  readonly beginBehindCheckpoint = (): Promise<void> => this.repair();
  get checkpoint(): SnapshotHead | null {
    return this.disk.checkpoints.at(-1)?.head ?? null;
  }

  async *checkpointState(): AsyncGenerator<StateRecord> {
    yield* this.disk.checkpoints.at(-1)?.records ?? [];
  }

  get base(): LogBase {
    const { base: position } = this.disk;
    return { position, history: (this.checkpoint?.history ?? []).filter(({ fromIndex }) => fromIndex <= position.index) };
  }

  write(step: JournalWrite): Promise<ArchivedTail | null> {
    return this.#push((part) => this.#apply(step, part));
  }

  #push(apply: Waiting['apply']): Promise<ArchivedTail | null> {
    assert.notEqual(this.#state, 'opened', 'recovered() is read to its end before the first write');
    if (this.#state === 'closed') return Promise.reject(new AppError('stopping', 'the journal is closed'));
    if (this.#waiting.length >= maxQueuedSteps) return Promise.reject(new AppError('queue_full', 'too many steps wait'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ apply, resolve, reject });
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
        next.resolve(next.apply({ frames: Infinity }));
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
    for (const { apply } of lost.splice(0, count)) apply({ frames: Infinity });
    const next = lost.at(0);
    if (next !== undefined && part !== 'nothing') next.apply(part);
    return new MemoryJournal(this.disk, this.#held);
  }

  get #end(): number {
    return this.disk.base.index + this.disk.frames.length;
  }

  #apply({ hardState, truncateTo, frames = [] }: JournalWrite, part: Exclude<PartOfStep, 'nothing'>): ArchivedTail | null {
    const { disk } = this;
    const keepTo = truncateTo ?? this.#end;
    assert(keepTo <= this.#end, 'a truncation lies within the log');
    assert([0, this.#end].includes(keepTo) || disk.base.index === 0 || disk.checkpoints.some(({ head }) => head.position.index <= keepTo));
    const base = keepTo === 0 ? emptyPosition : disk.base;
    const kept = keepTo - base.index;
    let last: { index: number; hash: string } = disk.frames[kept - 1] ?? base;
    for (const frame of frames) {
      assert(frame.index === last.index + 1 && frame.prevHash === last.hash, `frame ${String(frame.index)} does not continue`);
      last = frame;
    }
    if (hardState !== undefined) disk.hardState = hardState;
    if (part === 'hardState') return null;
    const rewinds = keepTo < this.#end;
    if (frames.length > 0 || rewinds) this.#needRoom();
    const tail = this.#archive(disk.frames.slice(kept));
    if (part === 'archive') return null;
    disk.frames.splice(kept, Infinity, ...(rewinds ? frames : frames.slice(0, part.frames)));
    [disk.base, disk.checkpoints] = [base, disk.checkpoints.filter(({ head }) => head.position.index <= keepTo)];
    return tail;
  }

  #needRoom(): void {
    if (this.disk.full) throw new AppError('disk_full', 'the disk in memory is full');
  }

  #archive(frames: readonly Frame[]): ArchivedTail | null {
    const { disk } = this;
    const tail = describeTail(frames);
    const tails = disk.archives.filter((each) => each.kind === 'diverged' && each.id !== tail?.id) as ArchivedTail[];
    if (tail !== null) disk.archivedChanges.set(tail.id, changesIn(frames));
    if (tail !== null)
      disk.archives = [...[...tails, tail].sort((a, b) => a.firstUid - b.firstUid), ...disk.archives.filter(({ kind }) => kind === 'copy')];
    return tail;
  }

  async read(fromIndex: number, maxBytes: number): Promise<Frame[]> {
    assert.notEqual(this.#state, 'opened', 'recovered() is read to its end before the first read');
    assert(fromIndex >= 1, 'frames are counted from 1');
    if (fromIndex <= this.disk.base.index) throw new AppError('compacted', `frame ${String(fromIndex)} is compacted`);
    let bytes = 0;
    const from = this.disk.frames.slice(fromIndex - this.disk.base.index - 1);
    const over = from.findIndex((frame, at) => (bytes += frame.bytes.length) > maxBytes && at > 0);
    return over === -1 ? from : from.slice(0, over);
  }

  async makeCheckpoint(index: number): Promise<SnapshotHead> {
    const { disk } = this;
    assert(index >= 1 && index <= this.#end, 'a checkpoint is made of durable frames');
    const previous = disk.checkpoints.at(-1);
    const reached = previous?.head.position.index ?? 0;
    if (previous !== undefined && reached >= index) return previous.head;
    this.#needRoom();
    const frames = disk.frames.filter((frame) => frame.index > reached && frame.index <= index);
    const made = await checkpointAfter(previous ?? null, frames);
    disk.checkpoints = [...disk.checkpoints, made].slice(-2);
    return made.head;
  }

  /** Frame by frame: memory has no segments. */
  async compact(): Promise<number> {
    const { disk } = this;
    const [older, newer] = disk.checkpoints.map(({ head }) => head.position);
    if (older !== undefined && newer !== undefined && older.index > disk.base.index) {
      disk.frames = disk.frames.slice(older.index - disk.base.index);
      disk.base = older;
    }
    return disk.base.index + 1;
  }

  snapshot(): Snapshot | null {
    const newest = this.disk.checkpoints.at(-1);
    return newest === undefined ? null : { id: newest.id, bytes: newest.bytes.length, head: newest.head };
  }

  async readSnapshot(id: string, offset: number, maxBytes: number): Promise<Uint8Array | null> {
    return this.disk.checkpoints.find((each) => each.id === id)?.bytes.subarray(offset, offset + maxBytes) ?? null;
  }

  receivedSnapshot(): PartialSnapshot | null {
    const { received } = this.disk;
    return received === null ? null : { id: received.id, bytes: received.bytes.length };
  }

  async receiveSnapshot(id: string, totalBytes: number, offset: number, chunk: Uint8Array): Promise<number> {
    const { disk } = this;
    if (offset + chunk.length > totalBytes) throw new AppError('invalid_request', 'a snapshot goes beyond its bytes');
    this.#needRoom();
    const bytes = disk.received?.id === id ? disk.received.bytes : Buffer.alloc(0);
    disk.received = { id, bytes: offset === bytes.length ? Buffer.concat([bytes, chunk]) : bytes };
    return disk.received.bytes.length;
  }

  async installSnapshot(id: string): Promise<ArchivedTail | null> {
    const { disk } = this;
    const { received } = disk;
    disk.received = null;
    const decoded = received?.id === id ? await decodedSnapshot(received.bytes) : null;
    if (decoded?.id !== id) throw new AppError('journal_corrupt', `snapshot ${id} does not verify`);
    return this.#push((part) => {
      if (part === 'hardState') return null;
      const parted = disk.frames.findIndex((frame) => !holds(decoded.head, frame));
      const tail = this.#archive(parted === -1 ? [] : disk.frames.slice(parted));
      if (part === 'archive') return null;
      Object.assign(disk, { base: decoded.head.position, frames: [], checkpoints: [decoded] });
      return tail;
    });
  }

  async archiveCopy(timeMs: number, { count, ageMs }: CopyRetention): Promise<ArchivedCopy | null> {
    const { disk } = this;
    const newest = disk.checkpoints.at(-1);
    const last = disk.frames.at(-1);
    const position = newest?.head.position ?? (last === undefined ? null : { uid: lastUid(last), hash: last.hash });
    if (position === null) return null;
    this.#needRoom();
    const kind = newest === undefined ? 'frames' : 'checkpoint';
    const id = `copy-${String(timeMs).padStart(16, '0')}-${String(position.uid)}-${position.hash.slice(0, 8)}.${kind}`;
    const copy: ArchivedCopy = { kind: 'copy', id, timeMs, uid: position.uid, sha256: sha256(id) };
    const tails = disk.archives.filter((each) => each.kind === 'diverged');
    const copies = disk.archives.filter((each) => each.kind === 'copy' && each.timeMs >= timeMs - ageMs);
    disk.archives = [...tails, ...[...copies, copy].slice(-Math.max(count, 1))];
    return copy;
  }

  async archives(): Promise<Archive[]> {
    return [...this.disk.archives];
  }

  async *archivedChanges(id: string): AsyncGenerator<ArchivedChange> {
    const archive = this.disk.archives.find((one) => one.id === id);
    if (archive === undefined) throw new AppError('not_found', `memory has no archive ${id}`);
    if (archive.kind !== 'diverged') throw new AppError('invalid_request', `archive ${id} is no tail`);
    yield* this.disk.archivedChanges.get(id) ?? [];
  }

  async close(): Promise<void> {
    this.sync();
    this.#state = 'closed';
  }
}
