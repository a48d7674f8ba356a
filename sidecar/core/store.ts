// The state that the log makes, and what a change would do to it.
// `Store` holds acknowledged changes only, so that no read ever returns what may still vanish. `Overlay` adds what the leader has put
// into frames that are not yet acknowledged: preconditions are judged in order against the state as it will be.
import type { Change, Frame, Json, Operation, Precondition } from './frame.ts';

export interface Entry {
  readonly value: Json;
  readonly uid: number;
}

export interface Receipt {
  readonly uid: number;
  readonly epoch: number;
}

/** Idempotency keys are remembered for this many changes (I8). */
const idempotencyWindowChanges = 100_000;

/** The key that an operation writes; an `append` to a topic is no part of the key-value state. */
function keyOf(operation: Operation): string | null {
  if ('put' in operation) return operation.put.key;
  if ('delete' in operation) return operation.delete.key;
  return null;
}

export class Store {
  readonly #entries = new Map<string, Entry>();
  readonly #receipts = new Map<string, Receipt>();
  /** Sorted keys, made when a listing asks and dropped when the set of keys changes. */
  #sortedKeys: string[] | null = null;
  /** UID of the last change that was applied. */
  uid: number;
  /** Index of the last frame that was applied. */
  index: number;

  /** Empty, at the place from which the records of a checkpoint come. */
  constructor({ uid, index }: { readonly uid: number; readonly index: number } = { uid: 0, index: 0 }) {
    this.uid = uid;
    this.index = index;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  receipt(idempotencyKey: string): Receipt | undefined {
    return this.#receipts.get(idempotencyKey);
  }

  /** Keys with the prefix after `after`, in code-unit order. */
  list(prefix: string, limit: number, after: string): { key: string; entry: Entry }[] {
    this.#sortedKeys ??= [...this.#entries.keys()].sort();
    const found: { key: string; entry: Entry }[] = [];
    for (
      let at = lowerBound(this.#sortedKeys, after > prefix ? after : prefix);
      at < this.#sortedKeys.length && found.length < limit;
      at++
    ) {
      const key = this.#sortedKeys[at] ?? '';
      if (!key.startsWith(prefix)) break;
      const entry = this.#entries.get(key);
      if (key !== after && entry !== undefined) found.push({ key, entry });
    }
    return found;
  }

  /** Applies the next frame of the log. */
  apply(frame: Frame): void {
    if (frame.index !== this.index + 1)
      throw new Error(`broken invariant I1: frame ${String(frame.index)} applied after ${String(this.index)}`);
    this.index = frame.index;
    for (const change of frame.changes) this.#applyChange(change, frame.epoch.number);
  }

  #applyChange(change: Change, epoch: number): void {
    this.uid += 1;
    for (const operation of change.operations) {
      if ('put' in operation) {
        if (!this.#entries.has(operation.put.key)) this.#sortedKeys = null;
        this.#entries.set(operation.put.key, { value: operation.put.value, uid: this.uid });
      } else if ('delete' in operation) {
        if (this.#entries.delete(operation.delete.key)) this.#sortedKeys = null;
      }
    }
    if (change.idempotencyKey !== undefined) {
      this.#receipts.delete(change.idempotencyKey);
      this.#receipts.set(change.idempotencyKey, { uid: this.uid, epoch });
    }
    this.#expireReceipts();
  }

  #expireReceipts(): void {
    for (const [key, { uid }] of this.#receipts) {
      if (uid > this.uid - idempotencyWindowChanges) return;
      this.#receipts.delete(key);
    }
  }
}

/** Index of the first element that is not below `key`. */
function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

export type Verdict =
  /** Becomes part of the log with this UID. */
  | { readonly kind: 'accepted'; readonly uid: number }
  /** The same idempotency key was accepted before (I8). */
  | { readonly kind: 'duplicate'; readonly receipt: Receipt }
  | { readonly kind: 'conflict'; readonly precondition: Precondition };

interface Pending {
  readonly index: number;
  readonly writes: ReadonlyMap<string, Entry | null>;
  readonly receipts: ReadonlyMap<string, Receipt>;
}

/** Frames on top of a `Store` that are in the log and not yet acknowledged, and one that is being made. */
export class Overlay {
  readonly #store: Store;
  #frames: Pending[] = [];
  #writes = new Map<string, Entry | null>();
  #receipts = new Map<string, Receipt>();
  /** UID of the last change in the log or in the frame that is being made. */
  #uid: number;

  constructor(store: Store, uncommitted: readonly Frame[]) {
    this.#store = store;
    this.#uid = store.uid;
    for (const frame of uncommitted) {
      for (const change of frame.changes) this.#record(change, frame.epoch.number);
      this.seal(frame.index);
    }
  }

  /** Judges a change and, when it is accepted, counts it into the frame that is being made. */
  judge(change: Change, epoch: number): Verdict {
    if (change.idempotencyKey !== undefined) {
      const receipt = this.#receipt(change.idempotencyKey);
      if (receipt !== undefined) return { kind: 'duplicate', receipt };
    }
    const failed = change.preconditions?.find((precondition) => !holds(precondition, this.#get(precondition.key)));
    if (failed !== undefined) return { kind: 'conflict', precondition: failed };
    return { kind: 'accepted', uid: this.#record(change, epoch) };
  }

  /** The frame that was being made is frame `index` of the log. */
  seal(index: number): void {
    this.#frames.push({ index, writes: this.#writes, receipts: this.#receipts });
    this.#writes = new Map();
    this.#receipts = new Map();
  }

  /** Frames up to `index` are part of the store now. */
  release(index: number): void {
    this.#frames = this.#frames.filter((frame) => frame.index > index);
  }

  #record(change: Change, epoch: number): number {
    this.#uid += 1;
    for (const operation of change.operations) {
      const key = keyOf(operation);
      if (key !== null) this.#writes.set(key, 'put' in operation ? { value: operation.put.value, uid: this.#uid } : null);
    }
    if (change.idempotencyKey !== undefined) this.#receipts.set(change.idempotencyKey, { uid: this.#uid, epoch });
    return this.#uid;
  }

  #get(key: string): Entry | null {
    const newest = this.#writes.get(key) ?? (this.#writes.has(key) ? null : undefined);
    if (newest !== undefined) return newest;
    const frame = this.#frames.findLast(({ writes }) => writes.has(key));
    return frame === undefined ? (this.#store.get(key) ?? null) : (frame.writes.get(key) ?? null);
  }

  #receipt(key: string): Receipt | undefined {
    const receipt =
      this.#receipts.get(key) ?? this.#frames.findLast(({ receipts }) => receipts.has(key))?.receipts.get(key) ?? this.#store.receipt(key);
    return receipt !== undefined && receipt.uid > this.#uid - idempotencyWindowChanges ? receipt : undefined;
  }
}

function holds(precondition: Precondition, entry: Entry | null): boolean {
  if (precondition.exists !== undefined && precondition.exists !== (entry !== null)) return false;
  if (precondition.uid !== undefined && precondition.uid !== (entry?.uid ?? 0)) return false;
  return precondition.value === undefined || (entry !== null && equalJson(precondition.value, entry.value));
}

/** Deep equality of JSON values; the order of an object's keys does not count. */
function equalJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => equalJson(item, b[at] ?? null));
  }
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equalJson(a[key] ?? null, b[key] ?? null));
}
