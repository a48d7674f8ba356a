// The one log of what was acknowledged to callers or shown to readers, and the state that it makes: an independent, simple model of the store.
// It finds two chains (I1), a change that is there twice (I8) and a change that was accepted against its preconditions.
import { isDeepStrictEqual } from 'node:util';
import { compareEpochs, type Epoch } from '../../common/position.ts';
import type { Change, Frame, Json, Precondition } from '../../sidecar/core/frame.ts';
import type { FrameBook } from './frame-book.ts';

interface Version {
  readonly uid: number;
  /** `undefined`: the key is not there. */
  readonly value: Json | undefined;
}
const absent: Version = { uid: 0, value: undefined };

export type Complaint = (invariant: string, message: string) => void;

export class AcknowledgedLog {
  readonly #book: FrameBook;
  readonly #complain: Complaint;
  readonly #frames: Frame[] = [];
  readonly #versions = new Map<string, Version[]>();
  readonly #idempotencyKeys = new Map<string, number>();
  uid = 0;
  /** Something that was acknowledged is not in the log any more. */
  gaveUp = false;

  constructor(book: FrameBook, complain: Complaint) {
    this.#book = book;
    this.#complain = complain;
  }

  /** The last acknowledged frame. */
  get tip(): Frame | undefined {
    return this.#frames.at(-1);
  }

  /** The last one of a leadership before `epoch`. */
  lastBefore(epoch: Epoch): Frame | undefined {
    return this.#frames.findLast((frame) => compareEpochs(frame.epoch, epoch) < 0);
  }

  /** `frame`, and with it all that it stands on, is acknowledged. */
  extend(frame: Frame): void {
    const added: Frame[] = [];
    let next: Frame | undefined = frame;
    while (next !== undefined && next.index > this.#frames.length) {
      added.push(next);
      next = this.#book.get(next.prevHash);
    }
    const base = added.at(-1)?.prevHash ?? frame.hash;
    const known = added.length === 0 ? this.#frames[frame.index - 1] : this.#frames.at(-1);
    if (base !== (known?.hash ?? ''))
      this.#complain('I1', `frame ${describe(frame)} is acknowledged and not on the chain of what was before`);
    for (const each of added.reverse()) this.#append(each);
  }

  /** On one chain with all that is acknowledged. */
  fits(frame: Frame): boolean {
    const { tip } = this;
    if (tip === undefined) return true;
    return frame.index <= tip.index
      ? this.#book.ancestor(tip.hash, frame.index) === frame
      : this.#book.ancestor(frame.hash, tip.index) === tip;
  }

  /** What comes after frame `index` was given up, or lost as far as may be: it never happened. */
  giveUpAfter(index: number): void {
    this.gaveUp = true;
    const kept = this.#frames.slice(0, index);
    this.#frames.length = this.uid = 0;
    this.#versions.clear();
    this.#idempotencyKeys.clear();
    for (const frame of kept) this.#append(frame);
  }

  /** Frames after `index`, in order. */
  after(index: number): readonly Frame[] {
    return this.#frames.slice(index);
  }

  /** The key as it was when `uid` was the last change. */
  versionAt(key: string, uid: number): Version {
    return this.#versions.get(key)?.findLast((version) => version.uid <= uid) ?? absent;
  }

  /** All keys that are there in the end, with their UIDs. */
  entries(): ReadonlyMap<string, Version> {
    const last = [...this.#versions].map(([key, versions]): [string, Version] => [key, versions.at(-1) ?? absent]);
    return new Map(last.filter(([, { value }]) => value !== undefined));
  }

  /** Some state between the two UIDs refused the change. */
  refusedBetween(preconditions: readonly Precondition[], fromUid: number, toUid: number): boolean {
    for (let uid = fromUid; uid <= toUid; uid += 1)
      if (!preconditions.every((each) => holds(each, this.versionAt(each.key, uid)))) return true;
    return false;
  }

  #append(frame: Frame): void {
    this.#frames.push(frame);
    for (const change of frame.changes) this.#apply(change, frame);
  }

  #apply(change: Change, frame: Frame): void {
    for (const each of change.preconditions ?? [])
      if (!holds(each, this.versionAt(each.key, this.uid)))
        this.#complain(
          'order',
          `change ${String(this.uid + 1)} of frame ${describe(frame)} was accepted against its precondition on ${each.key}`,
        );
    this.uid += 1;
    for (const operation of change.operations) {
      if ('put' in operation) this.#note(operation.put.key, operation.put.value);
      if ('delete' in operation) this.#note(operation.delete.key, undefined);
    }
    const { idempotencyKey } = change;
    if (idempotencyKey === undefined) return;
    const before = this.#idempotencyKeys.get(idempotencyKey);
    if (before !== undefined)
      this.#complain('I8', `idempotency key ${idempotencyKey} is change ${String(before)} and change ${String(this.uid)}`);
    this.#idempotencyKeys.set(idempotencyKey, this.uid);
  }

  #note(key: string, value: Json | undefined): void {
    const versions = this.#versions.get(key);
    const version = { uid: this.uid, value };
    if (versions === undefined) this.#versions.set(key, [version]);
    else versions.push(version);
  }
}

function holds(precondition: Precondition, { uid, value }: Version): boolean {
  const exists = value !== undefined;
  if (precondition.exists !== undefined && precondition.exists !== exists) return false;
  if (precondition.uid !== undefined && precondition.uid !== (exists ? uid : 0)) return false;
  return precondition.value === undefined || isDeepStrictEqual(precondition.value, value);
}

export const describe = ({ index, epoch, hash }: Frame): string =>
  `${String(index)} of epoch ${String(epoch.generation)}.${String(epoch.number)} (${hash.slice(0, 8)})`;
