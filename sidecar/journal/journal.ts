// The journal of one member on its own disk: the authority on what this member has (design page 3, "Persistence", "Rewind").
// A resolved write is durable, in the order hard state, archive, rewind, frames. What does not verify is refused, never served.
// It does not repair damage, and holds no lock: that one pod alone mounts the volume is taken for granted.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Sha256 } from '../core/frame.ts';
import type { HardState } from '../core/hard-state.ts';
import type { ArchivedTail, Journal, JournalWrite, LoggedFrame } from '../ports.ts';
import { archiveTail, listArchives, removeArchive } from './archive.ts';
import { realDisk, removeUnfinished, withFile, type Disk } from './disk.ts';
import { FrameLog } from './frame-log.ts';
import { GroupCommit } from './group-commit.ts';
import { readHardState, writeHardState } from './hard-state-file.ts';
import { finishRewind } from './rewind.ts';
import { openSegments, segmentHeaderBytes } from './segment.ts';

/** Size after which a segment is sealed and the next batch begins a new one. */
const defaultSegmentBytes = 64 * 1024 * 1024;

export interface JournalOptions {
  readonly directory: string;
  readonly sha256: Sha256;
  readonly log: Pick<Logger, 'warn' | 'fatal'>;
  /** Ends the process. Called after a failed sync, when the page cache no longer says what is on the disk, and on a broken invariant. */
  readonly onFatal: (error: unknown) => void;
  readonly segmentBytes?: number;
  readonly disk?: Disk;
}

/** Resumes a rewind that a crash interrupted and opens what is there. Rejects with AppError journal_corrupt, journal_version or disk_full. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, sha256, log, onFatal, segmentBytes = defaultSegmentBytes, disk = realDisk } = options;
  assert(segmentBytes > segmentHeaderBytes, 'a segment has room for a frame');
  const logDirectory = join(directory, 'log');
  const archiveDirectory = join(directory, 'archive');
  for (const each of [logDirectory, archiveDirectory]) await disk.makeDirectory(each);
  for (const each of [directory, logDirectory, archiveDirectory]) await removeUnfinished(disk, each);
  // What an earlier process wrote and did not sync is read here as if it were durable: it has to be, before anything is built on it.
  for (const each of [logDirectory, archiveDirectory, directory, dirname(directory)]) await disk.syncDirectory(each);
  await finishRewind(disk, logDirectory);
  const segments = await openSegments(disk, logDirectory);
  const last = segments.at(-1);
  if (last !== undefined) await withFile(disk, last.path, 'write', (file) => file.datasync());
  let hardState = await readHardState(disk, directory, segments.length === 0);
  const frames = new FrameLog({ disk, sha256, log }, logDirectory, segmentBytes, segments);
  let scan: 'due' | 'begun' | 'done' = 'due';

  async function* recovered(): AsyncGenerator<LoggedFrame> {
    assert.equal(scan, 'due', 'recovered() is read once');
    scan = 'begun';
    yield* frames.scan();
    scan = 'done';
  }

  async function carryOut(batch: readonly JournalWrite[]): Promise<ArchivedTail | null> {
    const [first] = batch;
    const keepTo = first?.truncateTo ?? frames.end.index;
    const added = batch.flatMap((step) => step.frames ?? []);
    assertContinues({ index: keepTo, hash: await frames.hashAt(keepTo) }, added);
    if (first?.hardState !== undefined) {
      await writeHardState(disk, directory, first.hardState);
      hardState = first.hardState;
    }
    if (keepTo < frames.end.index) return archiveAndReplace(disk, archiveDirectory, frames, keepTo, added);
    if (added.length > 0) await frames.append(added);
    return null;
  }

  const commits = new GroupCommit({ carryOut, log, onFatal });
  return {
    recovered,
    get hardState(): HardState {
      return hardState;
    },
    write(step) {
      assert.equal(scan, 'done', 'recovered() is read to its end before the first write');
      return commits.push(step);
    },
    read(fromIndex, maxBytes) {
      assert.equal(scan, 'done', 'recovered() is read to its end before the first read');
      assert(fromIndex >= 1, 'frames are counted from 1');
      return frames.read(fromIndex, maxBytes);
    },
    archives: () => listArchives(disk, archiveDirectory, log),
    async close() {
      await commits.close();
      await frames.close();
    },
  };
}

/** What lies beyond `index` is archived before it is replaced (I5). */
async function archiveAndReplace(
  disk: Disk,
  archiveDirectory: string,
  frames: FrameLog,
  index: number,
  replacement: readonly LoggedFrame[],
): Promise<ArchivedTail | null> {
  const [first, last] = [await frames.frameAt(index + 1), await frames.frameAt(frames.end.index)];
  const tail = await archiveTail(disk, archiveDirectory, first, last, frames.from(index + 1));
  try {
    await frames.replaceAfter(index, replacement);
  } catch (error) {
    // Nothing was replaced. After any other failure the rewind may have happened: the archive stays.
    if (error instanceof AppError && tail !== null) await removeArchive(disk, archiveDirectory, tail.id);
    throw error;
  }
  return tail;
}

function assertContinues(end: { index: number; hash: string }, added: readonly LoggedFrame[]): void {
  let { index, hash } = end;
  for (const { frame } of added) {
    assert(frame.index === index + 1 && frame.prevHash === hash, `frame ${String(frame.index)} does not continue frame ${String(index)}`);
    ({ index, hash } = frame);
  }
}
