// Makes the checkpoint of a frame: the one before it, merged with the frames since. The state is never in memory as a whole; what the frames since
// then changed is, the last value of each key.
// It reads only the stretches that it is given, so that it may run beside a journal that goes on writing. Who calls it sees to it that the frames
// are acknowledged, and that nobody cuts them off meanwhile.
import { join } from 'node:path';
import { isForgotten, StateChanges } from '../core/store.ts';
import { advanceHead, type StateRecord } from '../core/snapshot.ts';
import { encodeCheckpoint, inspectCheckpoint, readRecords, type CheckpointFile } from './checkpoint-file.ts';
import { replaceFile } from './disk.ts';
import { readStretch, type FrameReader, type Previous } from './stretch.ts';
import type { Stretch } from './segment.ts';

export interface CheckpointPlan {
  readonly directory: string;
  /** `null`: the state begins empty before frame 1. */
  readonly previous: CheckpointFile | null;
  /** The frames after `previous`, up to the one whose state it shall be; at least one. */
  readonly stretches: readonly Stretch[];
}

/** Makes a plan true; rejects with AppError disk_full, journal_corrupt, or what the disk says. Nothing is left behind then. */
export type Checkpointer = (plan: CheckpointPlan) => Promise<CheckpointFile>;

const suffix = '.checkpoint';
const nameForm = /^(\d{16})-[0-9a-f]{16}\.checkpoint$/;
export const checkpointName = ({ index, hash }: { index: number; hash: string }): string =>
  `${String(index).padStart(16, '0')}-${hash.slice(0, 16)}${suffix}`;
/** Index that a name says, or null for a file of another kind. */
export function checkpointIndexOf(name: string): number | null {
  const match = nameForm.exec(name);
  return match === null ? null : Number(match[1]);
}

/** Durable under its name when it resolves. Rejects as a `Checkpointer` does. */
export async function makeCheckpoint(reader: FrameReader, plan: CheckpointPlan): Promise<CheckpointFile> {
  const { disk } = reader;
  const { directory, previous, stretches } = plan;
  let head = previous?.head ?? null;
  let before: Previous = previous?.head.position ?? { index: 0, hash: '' };
  const changes = new StateChanges();
  for (const stretch of stretches)
    for (const frame of await readStretch(reader, stretch, before)) {
      frame.changes.forEach((change, at) => {
        changes.add(change, frame.firstUid + at, frame.epoch.number);
      });
      head = advanceHead(head, frame);
      before = frame;
    }
  if (head === null) throw new RangeError('a checkpoint needs a frame');
  const name = checkpointName(head.position);
  const records = merged(readRecords(disk, previous), changes, head.position.uid);
  await replaceFile(disk, directory, name, encodeCheckpoint(head, records));
  return inspectCheckpoint(disk, join(directory, name));
}

/** The records of a state after `changes`, of which `lastUid` is the last. */
async function* merged(state: AsyncIterable<StateRecord>, changes: StateChanges, lastUid: number): AsyncGenerator<StateRecord> {
  const { writes, receipts } = changes;
  const keys = [...writes.keys()].sort();
  let next = 0;
  function* writtenBefore(end: string | null): Generator<StateRecord> {
    for (let key = keys[next]; key !== undefined && (end === null || key < end); key = keys[next]) {
      const entry = writes.get(key) ?? null;
      if (entry !== null) yield { kind: 'entry', key, value: entry.value, uid: entry.uid };
      next += 1;
    }
  }
  for await (const record of state) {
    yield* writtenBefore(record.kind === 'entry' ? record.key : null);
    const replaced = record.kind === 'entry' ? writes.has(record.key) : receipts.has(record.idempotencyKey);
    if (!replaced && (record.kind === 'entry' || !isForgotten(record.uid, lastUid))) yield record;
  }
  yield* writtenBefore(null);
  for (const [idempotencyKey, { uid, epoch }] of receipts)
    if (!isForgotten(uid, lastUid)) yield { kind: 'receipt', idempotencyKey, uid, epoch };
}
