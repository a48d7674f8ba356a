// Snapshots on their way from one member to another, a part at a time: what was received stays on the disk, so that a broken transfer goes on where it was.
// Nobody is trusted: the journal verifies the whole before it takes it.
import type { Member } from './core/state.ts';
import { decodeOffer, encodeJson, type SnapshotOffer } from './core/message.ts';
import type { Journal, Peers } from './ports.ts';

/** Below the payload limit of NATS. */
const partBytes = 512 * 1024;
/** One that has to be made first is there when it is asked for again. */
const offerTimeoutMs = 5000;
const partTimeoutMs = 5000;

/** Has the newest snapshot of `from` on the disk, whole. `null` when that has none, or another one by now. */
export async function receiveSnapshot(journal: Journal, peers: Peers, from: string): Promise<SnapshotOffer | null> {
  const offer = decodeOffer(await peers.request(from, encodeJson({ kind: 'snapshot' }), offerTimeoutMs));
  if (offer === null) return null;
  const { id, bytes } = offer;
  const held = journal.receivedSnapshot();
  for (let offset = held?.id === id ? held.bytes : 0; offset < bytes;) {
    const part = await peers.request(from, encodeJson({ kind: 'snapshotPart', id, offset }), partTimeoutMs);
    if (part.length === 0) return null;
    offset = await journal.receiveSnapshot(id, bytes, offset, part);
  }
  return offer;
}

/** The newest snapshot that this member can give, made now when there is none; `null` when nothing is acknowledged yet. */
export async function offerSnapshot(journal: Journal, { store, durable }: Member): Promise<SnapshotOffer | null> {
  const index = Math.min(store.index, durable.position.index);
  if (journal.snapshot() === null && index > 0) await journal.makeCheckpoint(index);
  return journal.snapshot();
}

/** Empty when the snapshot is not here any more. */
export async function snapshotPart(journal: Journal, id: string, offset: number): Promise<Uint8Array> {
  return (await journal.readSnapshot(id, offset, partBytes)) ?? new Uint8Array();
}
