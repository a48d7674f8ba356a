// Snapshots on their way: from another member or from NATS into the own journal, and out of it. A part at a time: what was received stays on the disk, so that a
// broken transfer goes on where it was, also from another source. Nobody is trusted: the journal verifies the whole before it takes it.
import { AppError } from '../common/errors.ts';
import { checkpointableIndex } from './core/checkpointing.ts';
import { decodeOffer, encodeJson, type SnapshotOffer } from './core/message.ts';
import type { SnapshotOrigin } from './core/snapshot.ts';
import type { Member } from './core/state.ts';
import type { Journal, Peers, Snapshot, SnapshotStore } from './ports.ts';

/** Below the payload limit of NATS. Also the size of each chunk in NATS but the last. */
const partBytes = 512 * 1024;
/** One that has to be made first is there when it is asked for again. */
const offerTimeoutMs = 5000;
const partTimeoutMs = 5000;
/** What fits into the chunks of one snapshot in NATS; a larger state is kept by the members alone. */
const maxStoredBytes = 8192 * partBytes;

type SnapshotKeeper = Pick<Journal, 'snapshot' | 'readSnapshot'>;

/** A snapshot as its source describes it. */
export interface OfferedSnapshot {
  readonly id: string;
  readonly bytes: number;
  readonly head: SnapshotOrigin;
}

/** Who has snapshots: another member, or NATS. Calls reject with an AppError when it does not answer. */
export interface SnapshotSource {
  /** The newest one; `null` when there is none. */
  offer(): Promise<OfferedSnapshot | null>;
  /** Bytes from `offset` on, at least one; none when the snapshot is not there any more. */
  part(id: string, offset: number): Promise<Uint8Array>;
}

export function snapshotsOfPeer(peers: Peers, pod: string): SnapshotSource {
  return {
    async offer() {
      return decodeOffer(await peers.request(pod, encodeJson({ kind: 'snapshot' }), offerTimeoutMs));
    },
    part: (id, offset) => peers.request(pod, encodeJson({ kind: 'snapshotPart', id, offset }), partTimeoutMs),
  };
}

export function snapshotsInNats(store: SnapshotStore): SnapshotSource {
  return {
    async offer() {
      const newest = await store.latest();
      return newest === null ? null : { id: newest.id, bytes: newest.totalBytes, head: newest.origin };
    },
    async part(id, offset) {
      const chunk = await store.read(id, Math.floor(offset / partBytes));
      return chunk?.subarray(offset % partBytes) ?? new Uint8Array();
    },
  };
}

/** Has the newest snapshot of `source` on the disk, whole. `null` when that has none, or another one by now, or it is not accepted. */
export async function receiveSnapshot(
  journal: Journal,
  source: SnapshotSource,
  accepts: (head: SnapshotOrigin) => boolean = () => true,
): Promise<OfferedSnapshot | null> {
  const offer = await source.offer();
  if (offer === null || !accepts(offer.head)) return null;
  const { id, bytes } = offer;
  const held = journal.receivedSnapshot();
  for (let offset = held?.id === id ? held.bytes : 0; offset < bytes;) {
    const part = await source.part(id, offset);
    if (part.length === 0) return null;
    offset = await journal.receiveSnapshot(id, bytes, offset, part);
  }
  return offer;
}

/** The newest snapshot that this member can give, made now when there is none; `null` when nothing is acknowledged yet. */
export async function offerSnapshot(journal: Pick<Journal, 'snapshot' | 'makeCheckpoint'>, member: Member): Promise<SnapshotOffer | null> {
  const index = checkpointableIndex(member);
  if (journal.snapshot() === null && index > 0) await journal.makeCheckpoint(index);
  return journal.snapshot();
}

/** Puts the newest checkpoint of this member into NATS, whole, and tells which state it is; `null` when there is none, or it is too large for NATS. Rejects as `put` does, and when newer ones took the place of that checkpoint meanwhile. */
export async function storeSnapshot(journal: SnapshotKeeper, store: SnapshotStore, signal: AbortSignal): Promise<SnapshotOrigin | null> {
  const snapshot = journal.snapshot();
  if (snapshot === null || snapshot.bytes > maxStoredBytes) return null;
  const { clusterId, position } = snapshot.head;
  const origin = { clusterId, position };
  await store.put({ id: snapshot.id, totalBytes: snapshot.bytes, origin }, partsOf(journal, snapshot), signal);
  return origin;
}

async function* partsOf(journal: SnapshotKeeper, { id, bytes }: Snapshot): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes;) {
    const part = await snapshotPart(journal, id, offset);
    if (part.length === 0) throw new AppError('compacted', 'Newer checkpoints took the place of the one that was being stored.');
    yield part;
    offset += part.length;
  }
}

/** Empty when the snapshot is not here any more. */
export async function snapshotPart(journal: SnapshotKeeper, id: string, offset: number): Promise<Uint8Array> {
  return (await journal.readSnapshot(id, offset, partBytes)) ?? new Uint8Array();
}
