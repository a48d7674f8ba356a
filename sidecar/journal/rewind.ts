// Takes the end of the log away and puts other frames in its place, all or nothing (design: archive, intent, delete checkpoints
// beyond the fork, truncate, clear the intent).
// The intent is the segment that will follow the cut, whole with its frames, under a name of its own. All that needs room on the disk is done before
// that name appears; after it only room is given back, so that a full disk cannot leave a step half done. A crash after it is resumed at open.
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import { removeCheckpointsBeyond } from './checkpoints.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';
import { decodeSegmentHeader, encodeSegmentHeader, firstIndexOf, segmentHeaderBytes, segmentName, type SegmentHeader } from './segment.ts';

const intentSuffix = '.rewind';

/** Makes the intent durable: from now on the rewind happens. Rejects with AppError disk_full when there is no room; nothing has changed then. */
export async function intendRewind(disk: Disk, directory: string, header: SegmentHeader, records: Uint8Array): Promise<void> {
  await replaceFile(disk, directory, segmentName(header.firstIndex) + intentSuffix, [encodeSegmentHeader(header), records]);
}

/** Carries out the intent that stands in the directory, and clears it; does nothing when there is none. May be stopped anywhere and run again. */
export async function finishRewind(disk: Disk, directory: string, checkpointDirectory: string): Promise<void> {
  const names = await disk.list(directory);
  const intent = names.find((name) => name.endsWith(intentSuffix));
  if (intent === undefined) return;
  const path = join(directory, intent);
  const header = await withFile(disk, path, 'read', async (file) => decodeSegmentHeader(await file.read(0, segmentHeaderBytes), path));
  await removeCheckpointsBeyond(disk, checkpointDirectory, header.firstIndex - 1);
  const firstIndexes = names.flatMap((name) => firstIndexOf(name) ?? []).sort((a, b) => b - a);
  for (const firstIndex of firstIndexes.filter((first) => first >= header.firstIndex))
    await disk.remove(join(directory, segmentName(firstIndex)));
  const preceding = firstIndexes.find((first) => first < header.firstIndex);
  if (preceding !== undefined) await truncateSegment(disk, join(directory, segmentName(preceding)), header.precedingBytes);
  // Old segments must be gone before the new one has its name: both would look like one log.
  await disk.syncDirectory(directory);
  await disk.rename(path, join(directory, segmentName(header.firstIndex)));
  await disk.syncDirectory(directory);
}

async function truncateSegment(disk: Disk, path: string, size: number): Promise<void> {
  await withFile(disk, path, 'write', async (file) => {
    const bytes = await file.size();
    if (bytes < size)
      throw new AppError('journal_corrupt', `${path}: ends at offset ${String(bytes)}, a rewind kept ${String(size)} bytes`);
    await file.truncate(size);
    await file.datasync();
  });
}
