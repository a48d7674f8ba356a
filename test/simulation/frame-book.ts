// Every frame that any member ever made, as it was first published: what disks and answers are compared with.
// It judges nothing.
import { lastUid, type Change, type Frame } from '../../sidecar/core/frame.ts';

export class FrameBook {
  readonly #byHash = new Map<string, Frame>();
  readonly #byUid = new Map<number, Frame[]>();
  readonly #claims = new Map<string, Frame>();
  readonly #byMessage = new WeakMap<Uint8Array, readonly Frame[]>();
  readonly #voters = new Map<string, readonly string[]>();
  readonly #numbers = new Map<string, number>();
  readonly #byIndex = new Map<number, Frame[]>();
  highestUid = 0;

  get size(): number {
    return this.#byHash.size;
  }

  /** How many were made before it. */
  numberOf({ hash }: Frame): number {
    return this.#numbers.get(hash) ?? 0;
  }

  /** False when it was known already. */
  add(frame: Frame): boolean {
    if (this.#byHash.has(frame.hash)) return false;
    this.#numbers.set(frame.hash, this.#byHash.size);
    this.#byHash.set(frame.hash, frame);
    this.#byIndex.set(frame.index, [...(this.#byIndex.get(frame.index) ?? []), frame]);
    for (let uid = frame.firstUid; uid <= lastUid(frame); uid += 1) {
      const known = this.#byUid.get(uid);
      if (known === undefined) this.#byUid.set(uid, [frame]);
      else known.push(frame);
    }
    if (frame.kind === 'claim') this.#claims.set(frame.epoch.nonce, frame);
    this.highestUid = Math.max(this.highestUid, lastUid(frame));
    return true;
  }

  get(hash: string): Frame | undefined {
    return this.#byHash.get(hash);
  }

  addMessage(bytes: Uint8Array, frames: readonly Frame[]): void {
    this.#byMessage.set(bytes, frames);
    for (const frame of frames) this.add(frame);
  }

  /** Of the very bytes that were published; none of others. */
  framesIn(message: Uint8Array): readonly Frame[] {
    return this.#byMessage.get(message) ?? [];
  }

  /** The claim that opened a leadership. */
  claimOf(nonce: string): Frame | undefined {
    return this.#claims.get(nonce);
  }

  /** All frames in which some leadership gave a change this UID. */
  withUid(uid: number): readonly Frame[] {
    return this.#byUid.get(uid) ?? [];
  }

  /** Pods that count from the last configuration at or before this frame on. */
  votersAt(hash: string): readonly string[] {
    const walked: string[] = [];
    let voters: readonly string[] | undefined = undefined;
    for (let frame = this.get(hash); frame !== undefined && voters === undefined; frame = this.get(frame.prevHash)) {
      voters = this.#voters.get(frame.hash) ?? frame.configuration?.map(({ pod }) => pod);
      walked.push(frame.hash);
    }
    for (const each of walked) this.#voters.set(each, voters ?? []);
    return voters ?? [];
  }

  /** The frame lies on the chain that has, at `index`, a hash that begins so. */
  holdsAt(index: number, hashStart: string, frame: Frame): boolean {
    if (frame.index > index) return false;
    const ends = this.#byIndex.get(index) ?? [];
    return ends.some(({ hash }) => hash.startsWith(hashStart) && this.ancestor(hash, frame.index) === frame);
  }

  /** The frame with this index on the chain that ends with `hash`. */
  ancestor(hash: string, index: number): Frame | undefined {
    let frame = this.get(hash);
    while (frame !== undefined && frame.index > index) frame = this.get(frame.prevHash);
    return frame;
  }
}

export const changeAt = (frame: Frame, uid: number): Change | undefined => frame.changes[uid - frame.firstUid];
