// The index of a member's log: what the core must know of each frame without holding its bytes.
// It mirrors the journal: the core changes it when it decides, the journal follows when the disk has it. Frames up to `base` are compacted:
// of them only the history of epochs is left. It does not know which frames are acknowledged, and it never reads a disk.
import type { Configuration } from '../../common/configuration.ts';
import { emptyPosition, noEpoch, sameEpoch, type Epoch, type Position } from '../../common/position.ts';
import { lastUid, type Frame } from './frame.ts';
import type { LocatedEnd } from './message.ts';
import type { EpochSpan, SnapshotHead } from './snapshot.ts';

interface Entry {
  readonly hash: string;
  readonly epoch: Epoch;
  readonly endUid: number;
  /** Sequence in the stream; 0 while the stream is not known to have this frame. */
  seq: number;
}

export interface LoggedConfiguration {
  readonly index: number;
  readonly voters: Configuration;
  /** In a claim: nothing before it counts any more. */
  readonly replaces: boolean;
}

export class Log {
  #base: Position;
  readonly #entries: Entry[] = [];
  readonly #history: EpochSpan[];
  readonly #configurations: LoggedConfiguration[];
  /** `null` while the log is empty. */
  clusterId: string | null;
  /** Highest index that a frame of the log names as acknowledged: what a process that starts with this log knows. */
  confirmedIndex: number;

  /** A log that begins after `base`. The configuration is that of the newest checkpoint: all before it is acknowledged, so that no earlier one is asked for. */
  constructor({ position, history, configuration, clusterId }: Omit<SnapshotHead, 'clusterId'> & { readonly clusterId: string | null }) {
    this.#base = position;
    this.#history = [...history];
    this.#configurations = configuration === null ? [] : [{ index: position.index, voters: configuration, replaces: true }];
    this.clusterId = clusterId;
    this.confirmedIndex = position.index;
  }

  get length(): number {
    return this.#base.index + this.#entries.length;
  }

  /** Index of the last frame that is compacted; 0 when none is. */
  get baseIndex(): number {
    return this.#base.index;
  }

  /** Those that the log holds, in order; the first is the last one at or before the base. */
  get configurations(): readonly LoggedConfiguration[] {
    return this.#configurations;
  }

  /** Where the log ends, or where its first `index` frames end; `index` must not lie below the base. */
  position(index: number = this.length): Position {
    if (index === this.#base.index) return this.#base;
    const entry = this.#at(index);
    if (entry === undefined) throw new Error(`broken invariant I1: frame ${String(index)} is not in the log`);
    return { epoch: entry.epoch, uid: entry.endUid, index, hash: entry.hash };
  }

  get lastEpoch(): Epoch {
    return this.#history.at(-1)?.epoch ?? noEpoch;
  }

  /** Chain hash of frame `index`; `''` for index 0, undefined beyond the end and below the base. */
  hashAt(index: number): string | undefined {
    return index === this.#base.index ? this.#base.hash : this.#at(index)?.hash;
  }

  /** Epoch of frame `index`; undefined beyond the end and for index 0. */
  epochAt(index: number): Epoch | undefined {
    return index > this.length ? undefined : this.#history.findLast(({ fromIndex }) => fromIndex <= index)?.epoch;
  }

  /** The log has exactly this frame, and by the chain all that this frame stands on (I1). Not for frames below the base. */
  contains(index: number, hash: string): boolean {
    return this.hashAt(index) === hash;
  }

  /** The log that ends there is a part of this one. Below the base the epoch tells: in one epoch and nonce there is one frame for each index. */
  holds({ index, hash, epoch }: Pick<Position, 'index' | 'hash' | 'epoch'>): boolean {
    if (index >= this.#base.index || index === 0) return index === 0 || this.contains(index, hash);
    const own = this.epochAt(index);
    return own !== undefined && sameEpoch(own, epoch);
  }

  /** Its place, its chain and its UID (K3) follow from the end of the log. */
  continues(frame: Frame): boolean {
    const { index, hash, uid } = this.position();
    return frame.index === index + 1 && frame.prevHash === hash && frame.firstUid === uid + 1;
  }

  append(frame: Frame, seq: number): void {
    if (!this.continues(frame)) throw new Error(`broken invariant I1: frame ${String(frame.index)} does not continue the log`);
    const { hash, epoch, index, configuration } = frame;
    if (this.#history.length === 0 || !sameEpoch(this.lastEpoch, epoch)) this.#history.push({ epoch, fromIndex: index });
    if (configuration !== undefined) this.#configurations.push({ index, voters: configuration, replaces: frame.kind === 'claim' });
    this.clusterId = frame.clusterId;
    this.confirmedIndex = Math.max(this.confirmedIndex, frame.acknowledgedIndex);
    this.#entries.push({ hash, epoch, endUid: lastUid(frame), seq });
  }

  /** Keeps the first `index` frames; below the base none can be kept alone. */
  truncate(index: number): void {
    if (index < this.#base.index && index > 0) throw new Error(`broken invariant I5: frame ${String(index)} is compacted`);
    if (index === 0) this.#base = emptyPosition;
    this.#entries.length = index - this.#base.index;
    while ((this.#history.at(-1)?.fromIndex ?? 0) > index) this.#history.pop();
    while ((this.#configurations.at(-1)?.index ?? 0) > index) this.#configurations.pop();
    if (index === 0) this.clusterId = null;
    this.confirmedIndex = Math.min(this.confirmedIndex, index);
  }

  /** Forgets the frames up to `index`, all of them acknowledged, but for their epochs and the configuration in force. */
  compact(index: number): void {
    if (index <= this.#base.index) return;
    const base = this.position(index);
    const inForce = this.#configurations.findLastIndex((one) => one.index <= index);
    if (inForce > 0) this.#configurations.splice(0, inForce);
    this.#entries.splice(0, index - this.#base.index);
    this.#base = base;
  }

  /** UID of the last change that is compacted. */
  get baseUid(): number {
    return this.#base.uid;
  }

  /** Index of the frame that holds the change `uid`; 0 when no frame does, or it is compacted. */
  indexOfUid(uid: number): number {
    if (uid <= this.#base.uid || uid > this.position().uid) return 0;
    let low = this.#base.index + 1;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.position(middle).uid >= uid) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The stream has frame `index` at `seq`. */
  markStored(index: number, seq: number): void {
    const entry = this.#at(index);
    if (entry !== undefined) entry.seq = seq;
  }

  /** Nothing is known any more of what the stream has. */
  forgetStored(): void {
    for (const entry of this.#entries) entry.seq = 0;
  }

  /** The first frame from `from` on that the stream is not known to have; 0 when it has them all. */
  firstNotStored(from: number): number {
    for (let index = Math.max(from, this.#base.index + 1); index <= this.length; index++) if (this.#at(index)?.seq === 0) return index;
    return 0;
  }

  /** The lowest sequence at which the stream holds a frame from `index` on, all of which must be known to be in it; 0 when not, or when there is none. A claim stands before what was filled in behind it. */
  lowestSeqFrom(index: number): number {
    const seqs = this.#entries.slice(index - 1 - this.#base.index).map(({ seq }) => seq);
    return seqs.reduce((lowest, seq) => Math.min(lowest, seq), seqs[0] ?? 0);
  }

  #at(index: number): Entry | undefined {
    return this.#entries[index - this.#base.index - 1];
  }
}

/** What a member that starts asks of the leader's log. */
export const locate = (log: Log, index: number): LocatedEnd => ({
  index,
  hash: log.hashAt(index) ?? null,
  epoch: log.epochAt(index) ?? null,
});
