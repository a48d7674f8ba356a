// The state that the log makes, and what a change would do to it.
// `Store` holds acknowledged changes only, so that no read ever returns what may still vanish. `Overlay` adds what the leader has put
// into frames that are not yet acknowledged: preconditions are judged in order against the state as it will be.
import type { Change, Frame, Json, Precondition } from './frame.ts';
import type { StateRecord } from './snapshot.ts';

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

/** The change `uid` was made so long ago that its idempotency key is forgotten when `lastUid` is the last. */
export const isForgotten = (uid: number, lastUid: number): boolean => uid <= lastUid - idempotencyWindowChanges;

/** What the effect of a change is told to. */
interface StateSink {
  /** `null` deletes. */
  write(key: string, entry: Entry | null): void;
  remember(idempotencyKey: string, receipt: Receipt): void;
}

/** What the change `uid` does to a state. An `append` to a topic is no part of the key-value state. */
function applyChange(change: Change, uid: number, epoch: number, into: StateSink): void {
  for (const operation of change.operations) {
    if ('put' in operation) into.write(operation.put.key, { value: operation.put.value, uid });
    else if ('delete' in operation) into.write(operation.delete.key, null);
  }
  if (change.idempotencyKey !== undefined) into.remember(change.idempotencyKey, { uid, epoch });
}

/** The effect of some changes, without the state that they are made on. */
export class StateChanges implements StateSink {
  readonly writes = new Map<string, Entry | null>();
  /** In order of UID. */
  readonly receipts = new Map<string, Receipt>();

  add(change: Change, uid: number, epoch: number): void {
    applyChange(change, uid, epoch, this);
  }

  write(key: string, entry: Entry | null): void {
    this.writes.set(key, entry);
  }

  remember(idempotencyKey: string, receipt: Receipt): void {
    this.receipts.delete(idempotencyKey);
    this.receipts.set(idempotencyKey, receipt);
  }
}

export class Store {
  readonly #entries = new Map<string, Entry>();
  readonly #receipts = new Map<string, Receipt>();
  /** Sorted keys, made when a listing asks and dropped when the set of keys changes. */
  #sortedKeys: string[] | null = null;
  readonly #sink: StateSink = {
    write: (key, entry) => {
      if (entry === null ? this.#entries.delete(key) : !this.#entries.has(key)) this.#sortedKeys = null;
      if (entry !== null) this.#entries.set(key, entry);
    },
    remember: (idempotencyKey, receipt) => {
      this.#receipts.delete(idempotencyKey);
      this.#receipts.set(idempotencyKey, receipt);
    },
  };
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
    for (const change of frame.changes) {
      this.uid += 1;
      applyChange(change, this.uid, frame.epoch.number, this.#sink);
      this.#expireReceipts();
    }
  }

  /** Fills an empty store with the records of a checkpoint, in their order; whoever does sets `uid` and `index` to its position. */
  restore(record: StateRecord): void {
    const { uid } = record;
    if (record.kind === 'entry') this.#sink.write(record.key, { value: record.value, uid });
    else this.#sink.remember(record.idempotencyKey, { uid, epoch: record.epoch });
  }

  #expireReceipts(): void {
    for (const [key, { uid }] of this.#receipts) {
      if (!isForgotten(uid, this.uid)) return;
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
  readonly changes: StateChanges;
}

/** Frames on top of a `Store` that are in the log and not yet acknowledged, and one that is being made. */
export class Overlay {
  readonly #store: Store;
  #frames: Pending[] = [];
  #making = new StateChanges();
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
    this.#frames.push({ index, changes: this.#making });
    this.#making = new StateChanges();
  }

  /** Frames up to `index` are part of the store now. */
  release(index: number): void {
    this.#frames = this.#frames.filter((frame) => frame.index > index);
  }

  #record(change: Change, epoch: number): number {
    this.#uid += 1;
    this.#making.add(change, this.#uid, epoch);
    return this.#uid;
  }

  #get(key: string): Entry | null {
    const changes = this.#newestWith(({ writes }) => writes.has(key));
    return (changes === undefined ? this.#store.get(key) : changes.writes.get(key)) ?? null;
  }

  #receipt(key: string): Receipt | undefined {
    const changes = this.#newestWith(({ receipts }) => receipts.has(key));
    const receipt = changes === undefined ? this.#store.receipt(key) : changes.receipts.get(key);
    return receipt === undefined || isForgotten(receipt.uid, this.#uid) ? undefined : receipt;
  }

  #newestWith(has: (changes: StateChanges) => boolean): StateChanges | undefined {
    return has(this.#making) ? this.#making : this.#frames.findLast(({ changes }) => has(changes))?.changes;
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
