// What the runtime needs from the world: one small interface for each adapter, owned here by their consumer.
// The adapters (journal/, stream/, kube/) implement them and do not know each other; main.ts wires.
import type { Epoch } from '../common/position.ts';
import type { MemberReport, StartRound } from '../common/report.ts';
import type { PodRole } from '../common/names.ts';
import type { Frame } from './core/frame.ts';

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

/** A frame with the sequence that it has in the stream; 0 when it came from a peer or was filled in and its sequence is not known. */
export interface LoggedFrame {
  readonly frame: Frame;
  readonly seq: number;
}

/** One durable step. The order on disk is: promise, archive, truncation and frames. A crash leaves the first of them; truncation and the frames that come with it are one. */
export interface JournalWrite {
  readonly promise?: Epoch;
  /** Keep frames 1..truncateTo; what lies beyond is first archived (I5) under `archive/`, with its SHA-256. */
  readonly truncateTo?: number;
  readonly frames?: readonly LoggedFrame[];
}

export interface ArchivedTail {
  readonly id: string;
  readonly firstUid: number;
  readonly lastUid: number;
  readonly changes: number;
  readonly sha256: string;
}

export interface Journal {
  /** What is on disk after a torn tail was cut. Frames are yielded in order of index from 1, each verified against its checksum and the chain. Throws AppError journal_corrupt or journal_version. Read once and to its end, before the first write or read. */
  recovered(): AsyncIterable<LoggedFrame>;
  /** The one on disk. */
  readonly promise: Epoch;
  /** Resolves when the step is durable. Calls are carried out in the order in which they were made; several may wait and share one fdatasync. Rejects with AppError disk_full: nothing of this step is kept but, perhaps, its promise (see `promise`), and the steps that were queued behind it are rejected with it; queue_full, when too much waits; stopping, after `close`. An fsync that fails, or a frame that does not continue the log, ends the process. */
  write(step: JournalWrite): Promise<ArchivedTail | null>;
  /** Frames `fromIndex..` up to `maxBytes` (at least one when there is one). Verified before they are served: rejects with AppError journal_corrupt. */
  read(fromIndex: number, maxBytes: number): Promise<LoggedFrame[]>;
  archives(): Promise<ArchivedTail[]>;
  close(): Promise<void>;
}

export type StreamEvent =
  | { readonly kind: 'frame'; readonly seq: number; readonly bytes: Uint8Array }
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
  /** The frame stands at `expectedSeq + 1`. */
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
   * Starts (again) to deliver messages in order to `onEvent`, beginning after `afterSeq`. When `afterSeq > 0` the message there is first verified
   * to have the hash `hash` (SHA-256 over its own `prevHash` and bytes); if not, `restarted` is delivered and reading begins at the first message.
   * Never skips a message without telling (`purged`); a stalled consumer is recreated by a watchdog. Creates the stream when it is absent and `mayCreate`.
   * After a batch of messages, 8 MiB at most, it asks for more only when `room` has resolved.
   */
  read(afterSeq: number, hash: string, onEvent: (event: StreamEvent) => void, room: () => Promise<void>): void;
  /** The last sequence, as the stream's leader says; rejects with AppError stream_unavailable after `streamRequestTimeoutMs`. */
  lastSeq(): Promise<number>;
  /** Publishes with `Nats-Expected-Last-Sequence`. An unknown outcome is resolved by sending the same frame with the same expectation, and by reading the message at `expectedSeq + 1`, until it is known or `signal` aborts. */
  publish(frame: Frame, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome>;
  /**
   * Gives up the messages below `beforeSeq`, never the last one that was read: refused when `beforeSeq` is above the last sequence that this reader
   * has read, or when another message stands there. Rejects with AppError stream_unavailable: it may have been done, or will be.
   */
  purge(beforeSeq: number): Promise<PurgeOutcome>;
}

export interface StoredSnapshot {
  readonly id: string;
  readonly totalBytes: number;
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
  put(id: string, totalBytes: number, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
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
  report(report: MemberReport): void;
  labelRole(role: PodRole): void;
}
