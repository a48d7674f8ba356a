// The bytes of one simulated file: as the process sees them, and as they are on the platter; between the two, what was not synced.
// A power loss leaves an arbitrary part of that: changes whole, torn, damaged, or not at all, and in no order.
// It also knows which frames its durable bytes hold, as a segment of the journal: the oracles look at disks, not at programs.
import { decodeFrame } from '../../sidecar/core/frame.ts';
import { decodeRecord, nextMarker, type StoredRecord } from '../../sidecar/journal/record.ts';
import { segmentHeaderBytes } from '../../sidecar/journal/segment.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Chance } from './chance.ts';

type Change =
  { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer } | { readonly kind: 'truncate'; readonly size: number };

/** In the header of a segment. */
const firstIndexAt = 12;
const minCapacityBytes = 256;
/** In the place of the hash of a frame that a flipped bit has damaged. */
export const damagedFrame = '';

class Content {
  #buffer = Buffer.alloc(0);
  #size = 0;

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  change(change: Change): void {
    if (change.kind === 'truncate') return this.#resize(change.size);
    const end = change.position + change.bytes.length;
    if (end > this.#size) this.#resize(end);
    change.bytes.copy(this.#buffer, change.position);
  }

  become(other: Content): void {
    this.#resize(0);
    this.change({ kind: 'write', position: 0, bytes: other.bytes });
  }

  #resize(size: number): void {
    if (size > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(minCapacityBytes, 2 * size));
      this.#buffer.copy(larger, 0, 0, this.#size);
      this.#buffer = larger;
    }
    if (size < this.#size) this.#buffer.fill(0, size, this.#size);
    this.#size = size;
  }
}

export class FileContent {
  readonly #seen = new Content();
  readonly #durable = new Content();
  #unsynced: Change[] = [];
  /** Hashes of the frames in the durable bytes, in order, and where each record ends. */
  readonly #frames: string[] = [];
  readonly #ends: number[] = [];
  #frameSet = new Set<string>();
  /** A segment behind which another one stands. */
  isSealed = false;

  get bytes(): Buffer {
    return this.#seen.bytes;
  }

  get durableBytes(): Buffer {
    return this.#durable.bytes;
  }

  change(change: Change): void {
    this.#seen.change(change);
    this.#unsynced.push(change);
  }

  sync(): void {
    for (const change of this.#unsynced) this.#settle(change);
    this.#unsynced = [];
  }

  /** A sync that failed, or the power: some of what was not synced is there, and nobody knows what. */
  loseUnsynced(chance: Chance): void {
    for (const change of this.#unsynced) for (const part of survivingParts(change, chance)) this.#settle(part);
    this.#unsynced = [];
    this.#seen.become(this.#durable);
  }

  /** A bit of the durable bytes is another. Of a segment: returns which of `durableFrames` that has hit, from 0; -1 for none. */
  flipBit(chance: Chance): number {
    const hashes = this.durableFrames;
    const size = this.durableBytes.length;
    if (size === 0) return -1;
    const position = chance.below(size);
    const bytes = Buffer.from([(this.durableBytes[position] ?? 0) ^ (1 << chance.below(8))]);
    this.#durable.change({ kind: 'write', position, bytes });
    // What is not synced yet will be written over it.
    this.#seen.become(this.#durable);
    for (const change of this.#unsynced) this.#seen.change(change);
    const hit = position < segmentHeaderBytes || hashes.length === 0 ? -1 : this.#ends.findIndex((end) => position < end);
    if (hit === -1) return -1;
    const start = this.#startOf(hit);
    const record = decodeRecord(this.durableBytes, start, start);
    // The same bit may have flipped back.
    this.#frames[hit] = record.kind === 'record' ? record.hash : damagedFrame;
    this.#frameSet = new Set(this.#frames);
    return hit;
  }

  /** Of a segment: a record behind `at` says that frame `index` was durable. */
  provesBehind(at: number, index: number): boolean {
    return this.#frames.some((_hash, behind) => {
      const record = behind > at ? decodeRecord(this.durableBytes, this.#startOf(behind), 0) : null;
      return record?.kind === 'record' && record.durableIndex >= index;
    });
  }

  #startOf(at: number): number {
    return this.#ends[at - 1] ?? segmentHeaderBytes;
  }

  copy(): FileContent {
    const copy = new FileContent();
    copy.#settle({ kind: 'write', position: 0, bytes: Buffer.from(this.durableBytes) });
    copy.#seen.become(copy.#durable);
    return copy;
  }

  /** Of a segment of the journal: hashes of the whole records that are durable. */
  get durableFrames(): readonly string[] {
    const bytes = this.durableBytes;
    for (let at = this.#ends.at(-1) ?? segmentHeaderBytes; ;) {
      const record = decodeRecord(bytes, at, at);
      if (record.kind === 'record') {
        at += record.size;
        this.#note(record.hash, at);
        continue;
      }
      const behind = this.#behindDamage(at);
      if (behind === null) return this.#frames;
      at = behind;
      this.#note(damagedFrame, at);
    }
  }

  #note(hash: string, end: number): void {
    this.#frames.push(hash);
    this.#ends.push(end);
    if (hash !== damagedFrame) this.#frameSet.add(hash);
  }

  /** Where records go on behind damage at `at`; `null` when none of them says that what is missing was durable: it is a torn end. */
  #behindDamage(at: number): number | null {
    const bytes = this.durableBytes;
    const [before] = this.#frames.length === 0 ? [] : recordsFrom(bytes, this.#startOf(this.#frames.length - 1));
    const header = bytes.length < segmentHeaderBytes ? 0 : Number(bytes.readBigUInt64BE(firstIndexAt));
    const missing = before === undefined ? header : indexOf(before.record) + 1;
    let behind: number | null = null;
    for (const { start, record } of recordsFrom(bytes, at + 1)) {
      behind ??= start;
      if (this.isSealed || record.durableIndex >= missing) return behind;
    }
    return null;
  }

  holds(hash: string): boolean {
    return hash !== damagedFrame && this.durableFrames.length > 0 && this.#frameSet.has(hash);
  }

  #settle(change: Change): void {
    this.#durable.change(change);
    const from = change.kind === 'truncate' ? change.size : change.position;
    if ((this.#ends.at(-1) ?? 0) <= from) return;
    while ((this.#ends.at(-1) ?? 0) > from) {
      this.#ends.pop();
      this.#frames.pop();
    }
    this.#frameSet = new Set(this.#frames);
  }
}

/** Whole records at or behind `from`, wherever they stand. */
function* recordsFrom(bytes: Buffer, from: number): Generator<{ readonly start: number; readonly record: StoredRecord }> {
  for (let start = nextMarker(bytes, from); start !== -1; start = nextMarker(bytes, start + 1)) {
    const record = decodeRecord(bytes, start, start);
    if (record.kind === 'record') yield { start, record };
  }
}

function indexOf({ frameBytes }: StoredRecord): number {
  const frame = decodeFrame(frameBytes, sha256);
  return 'error' in frame ? 0 : frame.index;
}

function survivingParts(change: Change, chance: Chance): Change[] {
  const draw = chance.below(8);
  if (draw < 3) return [];
  if (draw < 5 || change.kind === 'truncate') return [change];
  const cut = chance.below(change.bytes.length + 1);
  if (draw === 5) return [{ ...change, bytes: change.bytes.subarray(0, cut) }];
  if (draw === 6) return [{ ...change, position: change.position + cut, bytes: change.bytes.subarray(cut) }];
  const damaged = Buffer.from(change.bytes);
  if (cut < damaged.length) damaged[cut] = (damaged[cut] ?? 0) ^ (1 << chance.below(8));
  return [{ ...change, bytes: damaged }];
}
