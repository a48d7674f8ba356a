// Checkpoints in memory: made with the whole state at hand, and read from their bytes by the production reader.
import { lastUid, type Frame } from '../../sidecar/core/frame.ts';
import { advanceHead, type SnapshotHead, type StateRecord } from '../../sidecar/core/snapshot.ts';
import { isForgotten, StateChanges } from '../../sidecar/core/store.ts';
import { encodeCheckpoint, inspectCheckpoint, readRecords } from '../../sidecar/journal/checkpoint-file.ts';
import { collect, listed } from './sample-frames.ts';
import { VolatileDisk } from './volatile-disk.ts';

export interface MemoryCheckpoint {
  readonly id: string;
  readonly head: SnapshotHead;
  readonly records: readonly StateRecord[];
  /** As a snapshot. */
  readonly bytes: Buffer;
}

/** What the bytes of a snapshot say. Rejects with AppError journal_corrupt or journal_version. */
export async function decodedSnapshot(bytes: Buffer): Promise<MemoryCheckpoint> {
  const [disk, path] = [new VolatileDisk(), '/snapshot'];
  await disk.makeDirectory('/');
  await disk.open(path, 'create');
  disk.replaceContent(path, bytes);
  const file = await inspectCheckpoint(disk, path);
  return { id: file.sha256, head: file.head, records: await collect(readRecords(disk, file)), bytes };
}

/** The checkpoint after `frames`, of which there is at least one. */
export async function checkpointAfter(previous: MemoryCheckpoint | null, frames: readonly Frame[]): Promise<MemoryCheckpoint> {
  const head = frames.reduce(advanceHead, previous?.head ?? null);
  if (head === null) throw new Error('a checkpoint needs a frame');
  const pieces: Buffer[] = [];
  for await (const piece of encodeCheckpoint(head, listed(recordsAfter(previous?.records ?? [], frames)))) pieces.push(piece);
  return decodedSnapshot(Buffer.concat(pieces));
}

/** The state after `frames`, with the whole of it in memory. */
function recordsAfter(records: readonly StateRecord[], frames: readonly Frame[]): StateRecord[] {
  const changes = new StateChanges();
  for (const record of records) {
    if (record.kind === 'entry') changes.write(record.key, record);
    else changes.remember(record.idempotencyKey, record);
  }
  for (const frame of frames)
    frame.changes.forEach((change, at) => {
      changes.add(change, frame.firstUid + at, frame.epoch.number);
    });
  const entries = [...changes.writes].flatMap(([key, entry]): StateRecord[] =>
    entry === null ? [] : [{ kind: 'entry', key, value: entry.value, uid: entry.uid }],
  );
  const last = frames.at(-1);
  const receipts = [...changes.receipts]
    .filter(([, { uid }]) => last !== undefined && !isForgotten(uid, lastUid(last)))
    .map(([idempotencyKey, { uid, epoch }]): StateRecord => ({ kind: 'receipt', idempotencyKey, uid, epoch }));
  return [...entries.sort((a, b) => (a.kind === 'entry' && b.kind === 'entry' && a.key < b.key ? -1 : 1)), ...receipts];
}
