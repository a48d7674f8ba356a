// Inputs and effects of the core: everything that reaches it and everything that it wants done, as data.
// A completion comes back as an input with the effect's token; an effect that has none needs no answer.
import type { ErrorCode } from '../../common/errors.ts';
import type { Change, Frame } from './frame.ts';
import type { LeaseRecord } from './lease.ts';
import type { LocatedEnd, Message } from './message.ts';
import type { DiskRecord, HardState } from './hard-state.ts';
import type { ReceivedSnapshot, SnapshotFound, SnapshotGiver, SnapshotOrigin } from './snapshot.ts';

export interface PersistStep {
  readonly hardState?: HardState;
  readonly truncateTo?: number;
  readonly frames?: readonly Frame[];
}

/** Given with every input: the core has no clock and no randomness of its own. */
export interface Instant {
  /** Monotonic. */
  readonly nowMs: number;
  /** Wall clock, for `frame.timeMs` only. */
  readonly wallMs: number;
  /** Fresh and random, 16 hex digits. */
  readonly nonce: string;
}

export type Input =
  | { readonly kind: 'tick' }
  | { readonly kind: 'order'; readonly members: readonly string[] }
  /** Of the connection to NATS, and of the stream while it is read: why it cannot be used, in a sentence for people; `null` when it can. */
  | { readonly kind: 'connection' | 'stream'; readonly problem: string | null }
  | { readonly kind: 'lease'; readonly record: LeaseRecord | null }
  /** What the own member Lease held before this process wrote to it; given once, as soon as the API server has answered. */
  | { readonly kind: 'recorded'; readonly record: DiskRecord | null }
  /** The own member Lease holds a report of this session. */
  | { readonly kind: 'reported'; readonly session: string }
  /** A person said that what this blocked member has of its own may go (K9). */
  | { readonly kind: 'discardLocal' }
  | { readonly kind: 'leaseWritten'; readonly result: 'written' | 'conflict' | 'unavailable' }
  | { readonly kind: 'persisted'; readonly token: number }
  | { readonly kind: 'streamMessage'; readonly seq: number; readonly bytes: Uint8Array }
  | { readonly kind: 'streamRestarted' }
  /** The messages before this one were purged: reading goes on there. */
  | { readonly kind: 'streamPurged'; readonly firstSeq: number }
  | { readonly kind: 'lastSeq'; readonly token: number; readonly seq: number | null }
  | { readonly kind: 'published'; readonly token: number; readonly seq: number | null }
  | { readonly kind: 'fetched'; readonly token: number; readonly frames: readonly Uint8Array[] }
  | { readonly kind: 'loaded'; readonly token: number; readonly frames: readonly Frame[] }
  | { readonly kind: 'located'; readonly token: number; readonly end: LocatedEnd | null }
  /** `index` of the checkpoint and the first index that the log still has; `null` when none could be made. */
  | { readonly kind: 'checkpointed'; readonly token: number; readonly done: { readonly index: number; readonly firstIndex: number } | null }
  | { readonly kind: 'snapshotFetched'; readonly token: number; readonly received: ReceivedSnapshot | null }
  | { readonly kind: 'snapshotFound'; readonly token: number; readonly found: SnapshotFound | null }
  /** What is stored whole now; `null` when that failed. */
  | { readonly kind: 'snapshotStored'; readonly token: number; readonly origin: SnapshotOrigin | null }
  | { readonly kind: 'purged'; readonly token: number; readonly done: boolean }
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'submit'; readonly id: number; readonly change: Change; readonly bytes: number }
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'handOver' }
  /** A person wants `to` to lead; `request` tells one wish from the next. */
  | { readonly kind: 'switchOver'; readonly to: string; readonly request: string };

export type SubmitResult =
  | { readonly kind: 'committed'; readonly uid: number; readonly epoch: number; readonly duplicate: boolean }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly detail: string };
export type ReadResult =
  { readonly kind: 'confirmed'; readonly uid: number } | { readonly kind: 'refused'; readonly code: ErrorCode; readonly detail: string };

export type Effect =
  /** → `persisted`, in the order of the effects. */
  | { readonly kind: 'persist'; readonly token: number; readonly step: PersistStep }
  /** → `streamMessage`s and `streamRestarted`, until the next `readStream`. */
  | { readonly kind: 'readStream' }
  /** → `lastSeq`, `null` when the stream did not answer. */
  | { readonly kind: 'askLastSeq'; readonly token: number }
  /** Frames as one message → `published`, `seq: null` when it does not stand at `expectedSeq + 1`. At most one is under way. */
  | { readonly kind: 'publish'; readonly token: number; readonly frames: readonly Frame[]; readonly expectedSeq: number }
  /** Gives up waiting for the publish that is under way: its outcome no longer matters. */
  | { readonly kind: 'abortPublish' }
  /** → `fetched`: frames of a peer's log from `fromIndex` on, empty when it has none or did not answer. */
  | { readonly kind: 'fetch'; readonly token: number; readonly from: string; readonly fromIndex: number }
  /** → `loaded`: frames of the own journal from `fromIndex` on, at least one. */
  | { readonly kind: 'load'; readonly token: number; readonly fromIndex: number }
  /** → `located`: what the leader's log has at `index`, `null` when it did not answer. */
  | { readonly kind: 'locate'; readonly token: number; readonly leader: string; readonly index: number }
  /** → `checkpointed`: makes a checkpoint at frame `index`, and removes what two of them make needless. */
  | { readonly kind: 'checkpoint'; readonly token: number; readonly index: number }
  /** → `snapshotFetched`: has the newest snapshot of a member, or of NATS, on the disk, whole. */
  | { readonly kind: 'fetchSnapshot'; readonly token: number; readonly from: SnapshotGiver }
  /** Puts a fetched snapshot in the place of the log, after the steps persisted so far, and builds the member anew from its journal. */
  | { readonly kind: 'installSnapshot'; readonly id: string }
  /** → `snapshotFound`: the newest snapshot that is whole in NATS, `null` when NATS did not answer. */
  | { readonly kind: 'findSnapshot'; readonly token: number }
  /** → `snapshotStored`: puts the newest checkpoint into NATS. At most one is under way. */
  | { readonly kind: 'storeSnapshot'; readonly token: number }
  /** → `purged`: gives up the messages of the stream below `beforeSeq`, unless another message stands now where this member read last. */
  | { readonly kind: 'purgeStream'; readonly token: number; readonly beforeSeq: number }
  /** Gives up what is being stored: its outcome no longer matters. */
  | { readonly kind: 'abortStoring' }
  | { readonly kind: 'send'; readonly to: string; readonly message: Message }
  /** → `leaseWritten`. */
  | { readonly kind: 'writeLease'; readonly holder: string; readonly version: string }
  | { readonly kind: 'answer'; readonly id: number; readonly result: SubmitResult }
  | { readonly kind: 'answerRead'; readonly id: number; readonly result: ReadResult }
  /** The frame is acknowledged and applied to the state. */
  | { readonly kind: 'applied'; readonly frame: Frame }
  /** After the steps persisted so far, build the member anew from its journal: acknowledged changes were rewound (durability Leader, a forced start). */
  | { readonly kind: 'reload'; readonly reason: string }
  | {
      readonly kind: 'note';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };
