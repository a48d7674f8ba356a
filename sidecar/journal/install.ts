// Puts a received snapshot in the place of the log, all or nothing. The intent is the snapshot itself under a name of its own: once that name is durable,
// the old log goes and the snapshot becomes the only checkpoint. A crash after it is resumed at open. Needs no room on the disk.
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import { sameEpoch, type Epoch } from '../../common/position.ts';
import type { Frame } from '../core/frame.ts';
import type { SnapshotHead } from '../core/snapshot.ts';
import { checkpointIndexOf, checkpointName } from './checkpoint.ts';
import { inspectCheckpoint, type CheckpointFile } from './checkpoint-file.ts';
import { noRoom, type Disk } from './disk.ts';

const intentSuffix = '.installing';

/** Makes the intent durable: from now on the snapshot is installed. Rejects with AppError disk_full; nothing has changed then. */
export async function intendInstall(disk: Disk, checkpointDirectory: string, { path, head }: CheckpointFile): Promise<void> {
  try {
    await disk.rename(path, join(checkpointDirectory, checkpointName(head.position) + intentSuffix));
  } catch (error) {
    throw noRoom(error);
  }
  await disk.syncDirectory(checkpointDirectory);
}

/** Carries out the intent that stands there and clears it; null when there is none. May be stopped anywhere and run again. */
export async function finishInstall(disk: Disk, checkpointDirectory: string, logDirectory: string): Promise<CheckpointFile | null> {
  const names = await disk.list(checkpointDirectory);
  const intent = names.find((name) => name.endsWith(intentSuffix));
  if (intent === undefined) return null;
  const file = await inspectCheckpoint(disk, join(checkpointDirectory, intent));
  const name = checkpointName(file.head.position);
  if (intent !== name + intentSuffix)
    throw new AppError('journal_corrupt', `${file.path} at offset 0: holds another state than its name says`);
  for (const each of await disk.list(logDirectory)) await disk.remove(join(logDirectory, each));
  await disk.syncDirectory(logDirectory);
  for (const each of names) if (checkpointIndexOf(each) !== null) await disk.remove(join(checkpointDirectory, each));
  // Those of the old log must be gone before the new one has its name: they would look like older ones of the same log.
  await disk.syncDirectory(checkpointDirectory);
  await disk.rename(file.path, join(checkpointDirectory, name));
  await disk.syncDirectory(checkpointDirectory);
  return { ...file, path: join(checkpointDirectory, name) };
}

/** Which log a snapshot stands for. */
export type HeldLog = Pick<SnapshotHead, 'history' | 'position'>;

/** The log that `head` stands for has a frame of this epoch at `index`. In one epoch and nonce there is one frame for each index. */
export function holds({ history, position }: HeldLog, { index, epoch }: { index: number; epoch: Epoch }): boolean {
  const span = history.findLast(({ fromIndex }) => fromIndex <= index);
  return index <= position.index && span !== undefined && sameEpoch(span.epoch, epoch);
}

/** The first of `frames` that the snapshot does not hold; null when it holds them all. */
export async function firstNotHeld(head: HeldLog, frames: AsyncIterable<Frame>): Promise<number | null> {
  for await (const frame of frames) if (!holds(head, frame)) return frame.index;
  return null;
}
