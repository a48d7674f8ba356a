// What the runtime needs from the world: one small interface for each adapter, owned here by their consumer.
// The adapters (journal/, stream/, kube/) implement them and do not know each other; main.ts wires.
import type { Epoch, Position } from '../common/position.ts';
import type { MemberReport, StartRound, Switchover } from '../common/report.ts';
import type { PodRole } from '../common/names.ts';
import type { Change, Frame } from './core/frame.ts';
import type { DiskRecord, HardState } from './core/hard-state.ts';
import type { EpochSpan, SnapshotHead, SnapshotOrigin, StateRecord } from './core/snapshot.ts';

/** Time and chance, so that a simulation can give its own. */
export interface Clock {
  /** Monotonic. */
  nowMs(): number;
  wallMs(): number;
  /** Calls `run` once after `ms`, never within this call; the function that it returns cancels that. */
  after(ms: number, run: () => void): () => void;
  /** Fresh and random, 16 hex digits. */
  nonce(): string;
}

/** One durable step. The order on disk is: hard state, archive, truncation and frames. A crash leaves the first of them; truncation and the frames that come with it are one. */
export interface JournalWrite {
  readonly hardState?: HardState;
  /** Keep frames 1..truncateTo; what lies beyond is first archived (I5) under `archive/`, with its SHA-256. 0 also of a log that is compacted, whose newest state is archived with it. */
  readonly truncateTo?: number;
  readonly frames?: readonly Frame[];
}

/** A tail that a rewind or a snapshot took out of the log (I5): changes of one member that the cluster does not have. */
export interface ArchivedTail {
  readonly kind: 'diverged';
  readonly id: string;
  readonly firstUid: number;
  readonly lastUid: number;
  readonly changes: number;
  readonly sha256: string;
}

/** A change of an archived tail, with its place in the log that was given up. */
export interface ArchivedChange {
  readonly uid: number;
  readonly epoch: Epoch;
  readonly change: Change;
}

/** A compressed copy of the state, or of the log of a journal that has no checkpoint yet (K12). */
export interface ArchivedCopy {
  /** `state`: made by `installSnapshot`, of a log that parted from the snapshot's in what it had compacted already (I5); kept until a person removes it. */
  readonly kind: 'copy' | 'state';
  readonly id: string;
  /** Wall clock, as the caller of `archiveCopy` said; of a `state`, as its last frame says, 0 when it had none. */
  readonly timeMs: number;
  /** The last change that it holds. */
  readonly uid: number;
  readonly sha256: string;
}

export type Archive = ArchivedTail | ArchivedCopy;

/** What `archiveCopy` keeps: at most `count` copies, the new one included, and none older than `ageMs` but the new one. */
export interface CopyRetention {
  readonly count: number;
  readonly ageMs: number;
}

/** Where the log begins: what lies before its first frame. The empty position and no history when it begins with frame 1. */
export interface LogBase {
  readonly position: Position;
  /** Epochs up to `position`. */
  readonly history: readonly EpochSpan[];
}

/** Frames that the disk has damaged. `hash` is that of frame `toIndex`, as what stands behind names it: it tells the right frames from all others. */
export interface DamagedFrames {
  readonly fromIndex: number;
  readonly toIndex: number;
  readonly hash: string;
  /** File and place, and what is wrong there. */
  readonly found: string;
}

/** A checkpoint on its way to another member. `id` is its SHA-256: the same state at the same frame has the same id everywhere. */
export interface Snapshot {
  readonly id: string;
  readonly bytes: number;
  readonly head: SnapshotHead;
}

/** What is here of a snapshot that is being received. */
export interface PartialSnapshot {
  readonly id: string;
  readonly bytes: number;
}

/** Order of use: `repair` while there is `damage`; `checkpoint` and `checkpointState`; `recovered` to its end; then all else. */
export interface Journal {
  /** Empty in a sound journal. While it is not, only `repair`, `checkpoint`, a write of the hard state alone, a snapshot in the place of the log, `archives` and `close` may be asked for. */
  readonly damage: readonly DamagedFrames[];
  /** Puts the frames of one entry of `damage`, all of them in order, back in their place. Rejects with AppError journal_corrupt when they are not those; with disk_full, when a part may be filled already: ask `damage` again. */
  repair(frames: readonly Frame[]): Promise<void>;
  /** Lets the log begin behind `checkpoint`, when all damage lies at or before it: nothing of the state is lost. Rejects with AppError disk_full; nothing has changed then. */
  beginBehindCheckpoint(): Promise<void>;
  /** The newest one: what `checkpointState` gives is the state at its position. `null`: the state is empty and begins with frame 1. */
  readonly checkpoint: SnapshotHead | null;
  /** Records of `checkpoint` as it is at the call, in the order of a snapshot. Rejects with AppError journal_corrupt, and ends the process as `read` does. */
  checkpointState(): AsyncIterable<StateRecord>;
  /** Changes with `compact` and `installSnapshot`. At or before the position of `checkpoint`. */
  readonly base: LogBase;
  /** What is on disk after a torn tail was cut: all frames after `base`, also those that `checkpoint` holds already, in order of index, each verified against its checksum and the chain. Throws AppError journal_corrupt or journal_version. Read once and to its end, before the first write or read. */
  recovered(): AsyncIterable<Frame>;
  /** The one on disk. */
  readonly hardState: HardState;
  /** Resolves when the step is durable. Calls are carried out in the order in which they were made; several may wait and share one fdatasync. Rejects with AppError disk_full: nothing of this step is kept but, perhaps, its hard state (see `hardState`), and the steps that were queued behind it are rejected with it; queue_full, when too much waits; stopping, after `close`. An fsync that fails, a frame that does not continue the log, or a truncation to where no state can be built from (before the oldest checkpoint of a compacted log), ends the process. */
  write(step: JournalWrite): Promise<ArchivedTail | null>;
  /** Frames `fromIndex..` up to `maxBytes` (at least one when there is one). Verified before they are served: damage rejects with AppError journal_corrupt and ends the process, so that the next one repairs it; rejects with compacted when `fromIndex` is not after `base`. */
  read(fromIndex: number, maxBytes: number): Promise<Frame[]>;
  /** Makes the checkpoint at frame `index`, which is durable and acknowledged; writes go on meanwhile, only a truncation waits. Resolves with `checkpoint`, which is that one or was at or beyond it already. Rejects with AppError disk_full, journal_corrupt, which ends the process as in `read`, or internal_error when the worker broke. */
  makeCheckpoint(index: number): Promise<SnapshotHead>;
  /** Removes whole segments that lie at or before the older of two checkpoints. Resolves with the first index that is still here. */
  compact(): Promise<number>;
  /** The newest checkpoint as a snapshot. */
  snapshot(): Snapshot | null;
  /** At most `maxBytes` of the snapshot; `null` when it is not here any more: the receiver begins anew with another. The receiver verifies, and so does this: the last bytes are given when the whole is sound, else it rejects with AppError journal_corrupt, and ends the process as `read` does. */
  readSnapshot(id: string, offset: number, maxBytes: number): Promise<Uint8Array | null>;
  receivedSnapshot(): PartialSnapshot | null;
  /** Takes the next bytes of a snapshot; another id than that of `receivedSnapshot` drops what was there. Resolves with the offset that is wanted next: a chunk with another offset changes nothing. Rejects with AppError invalid_request past `totalBytes` or the limit of a snapshot, disk_full. */
  receiveSnapshot(id: string, totalBytes: number, offset: number, chunk: Uint8Array): Promise<number>;
  /** Puts a whole received snapshot in the place of the log, in order with the writes. Changes of the log that it does not hold are archived first (I5), as a tail, and as a `state` when they are compacted; damaged frames that nobody has any more are given up with this. Rejects with AppError journal_corrupt when it does not verify, and drops it; with disk_full. `checkpoint`, `base` and `checkpointState` are those of the snapshot then. */
  installSnapshot(id: string): Promise<ArchivedTail | null>;
  /** Diverged tails in order of their first UID, then states and copies in order of their time. */
  archives(): Promise<Archive[]>;
  /** Of an archived tail, in order; all of it is verified before the first. Rejects with AppError not_found, invalid_request when it is no tail, archive_corrupt. */
  archivedChanges(id: string): AsyncIterable<ArchivedChange>;
  /** Archives the newest checkpoint, or the log when there is none, compressed; then removes what `retention` does not keep. `null` when there is nothing to copy. Rejects with AppError disk_full, journal_corrupt. */
  archiveCopy(timeMs: number, retention: CopyRetention): Promise<ArchivedCopy | null>;
  close(): Promise<void>;
}

export type StreamEvent =
  | { readonly kind: 'message'; readonly seq: number; readonly bytes: Uint8Array }
  /** The message at the reader's position is not the one it had read, or a sequence was reused: reading goes on from the first message. */
  | { readonly kind: 'restarted'; readonly reason: string }
  /**
   * What lay behind the reader's position and before `firstSeq` was purged, perhaps with the message at the position; what was read is not in doubt.
   * Reading goes on at `firstSeq`, where perhaps no message stands yet: the last sequence is `firstSeq - 1` then. Whoever lacks what is gone finds
   * the gap by the chain of hashes, and fetches it from a peer or a snapshot.
   */
  | { readonly kind: 'purged'; readonly firstSeq: number }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly reason: string };

export type PublishOutcome =
  /** The message stands at `expectedSeq + 1`. */
  | { readonly kind: 'stored'; readonly seq: number }
  /** Another message stands there; or, when `lastSeq` is below it, the stream seems to have lost its end: a reason to read it again, and no proof. */
  | { readonly kind: 'conflict'; readonly lastSeq: number }
  /** The caller aborted, or the adapter closed, before the outcome was known. */
  | { readonly kind: 'unknown' };

export type PurgeOutcome =
  /** The messages below are gone, unless the stream was replaced meanwhile. */
  | { readonly kind: 'purged' }
  /** Nothing was done: `beforeSeq` is above the last sequence that was verified; 0 when there is none, or another message stands there now. */
  | { readonly kind: 'refused'; readonly verifiedSeq: number };

/** The JetStream stream of the cluster (design page 5, decisions 1-6). */
export interface LogStream {
  /**
   * Starts (again) to deliver all messages in order to `onEvent`. Where the stream is not the one any more that was read, `restarted` is delivered and
   * reading begins at the first message.
   * Never skips a message without telling (`purged`); a stalled consumer is recreated by a watchdog. Creates the stream when it is absent and `mayCreate`.
   * After a batch of messages, 8 MiB at most, it asks for more only when `room` has resolved.
   */
  read(onEvent: (event: StreamEvent) => void, room: () => Promise<void>): void;
  /** The last sequence, as the stream's leader says; rejects with AppError stream_unavailable after `streamRequestTimeoutMs`. */
  lastSeq(): Promise<number>;
  /** Publishes a message with `Nats-Expected-Last-Sequence`. An unknown outcome is resolved by sending the same message with the same expectation, and by reading the message at `expectedSeq + 1`, until it is known or `signal` aborts. */
  publish(message: { readonly bytes: Uint8Array }, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome>;
  /**
   * Gives up the messages below `beforeSeq`, never the last one that was read: refused when `beforeSeq` is above the last sequence that this reader
   * has read, or when another message stands there. Rejects with AppError stream_unavailable: it may have been done, or will be.
   */
  purge(beforeSeq: number): Promise<PurgeOutcome>;
}

/** A snapshot that is to be stored in NATS. */
export interface SnapshotToStore {
  readonly id: string;
  readonly totalBytes: number;
  readonly origin: SnapshotOrigin;
}

export interface StoredSnapshot extends SnapshotToStore {
  /** How many chunks it is made of, numbered from 0. */
  readonly chunks: number;
}

/** The newest two snapshots in NATS (ADR 11). Calls reject with AppError stream_unavailable when NATS does not answer. */
export interface SnapshotStore {
  /**
   * Resolves when the snapshot is stored whole; until then it does not exist for anybody. Chunks are of 1 byte to 512 KiB, 8,192 at most. Of several
   * that are put at one time one is stored at most, and the other calls reject. Waits for a server that is away until `signal` aborts, and rejects
   * then; what is half written is removed by the next `put`, which also removes all but the newest whole one.
   */
  put(snapshot: SnapshotToStore, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
  /** The newest one, `null` when there is none. */
  latest(): Promise<StoredSnapshot | null>;
  /** The bytes of one chunk, verified; `null` when it is not there, or not any more, or damaged. */
  read(id: string, chunk: number): Promise<Uint8Array | null>;
}

/** Core NATS between the pods of one cluster: at most once, unordered between senders. */
export interface Peers {
  /** `to` is a pod name, or `'*'` for all pods but this one. Never throws; what cannot be sent now is dropped. Payload at most 1 MiB minus headers. */
  send(to: string, payload: Uint8Array): void;
  onMessage(handler: (payload: Uint8Array) => void): void;
  /**
   * One request to one pod, answered by its `onRequest` handler. Rejects with AppError no_leader when the pod did not take it, so that it has had
   * no effect, and with outcome_unknown when it may have and did not answer in time.
   */
  request(to: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  onRequest(handler: (payload: Uint8Array) => Promise<Uint8Array>): void;
}

export interface LeaseRecord {
  /** `''` when nobody holds it. */
  readonly holder: string;
  readonly leaseDurationMs: number;
  /** Opaque: changes with every write. */
  readonly version: string;
  readonly round: StartRound | null;
}

/** The leader Lease. The adapter watches it (and polls as a fallback); timing is decided by the core from what is observed locally. */
export interface LeaderLease {
  /** Delivers the record at once and after each change, and `null` while the API server cannot be reached. */
  watch(onRecord: (record: LeaseRecord | null) => void): void;
  /** Writes the holder on condition that `version` is still current. `'' ` frees the Lease. */
  write(holder: string, version: string): Promise<'written' | 'conflict' | 'unavailable'>;
}

/** What this pod says of itself to Kubernetes. Each call is retried inside until it succeeded or a newer one replaces it; none throws. */
export interface OwnPod {
  /** Calls once, as soon as the API server has answered, with what the member Lease holds; `null` when it holds no report. To be asked before the first `report`. */
  recorded(onRecord: (record: DiskRecord | null) => void): void;
  /** Calls each time that a report was written, with its session. */
  onReported(handler: (session: string) => void): void;
  /** Calls when the operator told the process of this session to give its own changes up; perhaps several times. */
  onDiscard(handler: (session: string) => void): void;
  /** Calls when the operator told the process of a session to hand over to another member; again and again. */
  onSwitchover(handler: (switchover: Switchover) => void): void;
  report(report: MemberReport): void;
  labelRole(role: PodRole): void;
}
