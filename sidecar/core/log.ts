// The index of a member's log: what the core must know of each frame without holding its bytes.
// It mirrors the journal: the core changes it when it decides, the journal follows when the disk has it.
// It does not know which frames are acknowledged, and it never reads a disk.
import { emptyPosition, noEpoch, type Epoch, type Position } from '../../common/position.ts';
import { lastUid, type Frame } from './frame.ts';

interface Entry {
  readonly hash: string;
  readonly epoch: Epoch;
  readonly endUid: number;
  readonly kind: Frame['kind'];
  /** Sequence in the stream; 0 while the stream is not known to have this frame. */
  seq: number;
}

export class Log {
  readonly #entries: Entry[] = [];
  /** `null` while the log is empty. */
  clusterId: string | null = null;

  get length(): number {
    return this.#entries.length;
  }

  /** Where the log ends, or where its first `index` frames end. */
  position(index: number = this.length): Position {
    const entry = this.#entries[index - 1];
    return entry === undefined ? emptyPosition : { epoch: entry.epoch, uid: entry.endUid, index, hash: entry.hash };
  }

  get lastEpoch(): Epoch {
    return this.#entries.at(-1)?.epoch ?? noEpoch;
  }

  /** Chain hash of frame `index`; `''` for index 0, undefined beyond the end. */
  hashAt(index: number): string | undefined {
    return index === 0 ? '' : this.#entries[index - 1]?.hash;
  }

  /** The log has exactly this frame, and by the chain all that this frame stands on (I1). */
  contains(index: number, hash: string): boolean {
    return this.hashAt(index) === hash;
  }

  /** Its place, its chain and its UID (K3) follow from the end of the log. */
  continues(frame: Frame): boolean {
    const { index, hash, uid } = this.position();
    return frame.index === index + 1 && frame.prevHash === hash && frame.firstUid === uid + 1;
  }

  append(frame: Frame, seq: number): void {
    if (!this.continues(frame)) throw new Error(`broken invariant I1: frame ${String(frame.index)} does not continue the log`);
    this.clusterId = frame.clusterId;
    this.#entries.push({ hash: frame.hash, epoch: frame.epoch, endUid: lastUid(frame), kind: frame.kind, seq });
  }

  truncate(index: number): void {
    this.#entries.length = index;
    if (index === 0) this.clusterId = null;
  }

  /** Index of the frame that holds the change `uid`; 0 when no frame does. */
  indexOfUid(uid: number): number {
    if (uid < 1 || uid > this.position().uid) return 0;
    let low = 1;
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
    const entry = this.#entries[index - 1];
    if (entry !== undefined) entry.seq = seq;
  }

  /** Nothing is known any more of what the stream has. */
  forgetStored(): void {
    for (const entry of this.#entries) entry.seq = 0;
  }

  /** The first frame from `from` on that the stream is not known to have; 0 when it has them all. */
  firstNotStored(from: number): number {
    for (let index = Math.max(from, 1); index <= this.length; index++) if (this.#entries[index - 1]?.seq === 0) return index;
    return 0;
  }

  /** The highest sequence at which the stream is known to hold a frame of this log, with that frame's hash: where reading goes on. */
  lastStored(): { readonly seq: number; readonly hash: string } {
    let best = { seq: 0, hash: '' };
    for (const { seq, hash } of this.#entries) if (seq > best.seq) best = { seq, hash };
    return best;
  }
}
