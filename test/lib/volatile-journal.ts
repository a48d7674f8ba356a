// The real journal on a disk in memory, with segments so small that a few frames fill one.
import type { Journal } from '../../sidecar/ports.ts';
import type { Disk } from '../../sidecar/journal/disk.ts';
import type { VolatileDisk } from './volatile-disk.ts';
import { makeCheckpoint, type Checkpointer } from '../../sidecar/journal/checkpoint.ts';
import { openJournal } from '../../sidecar/journal/journal.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { collect } from './sample-frames.ts';

export const journalDirectory = '/data/journal';
export const logDirectory = `${journalDirectory}/log`;
export const checkpointDirectory = `${journalDirectory}/checkpoint`;
export const archiveDirectory = `${journalDirectory}/archive`;
const segmentBytes = 750;

export interface Opened {
  readonly journal: Journal;
  readonly hashes: string[];
  /** Messages of the log, warnings and worse. */
  readonly said: string[];
  readonly fatal: unknown[];
}

export interface OpenedHow {
  /** Steps in which segments grow; none by default. */
  readonly roomBytes?: number;
  /** Not: the caller reads `recovered()`, or repairs first. */
  readonly scan?: boolean;
  /** What a checkpoint waits for before it is made. */
  readonly before?: () => Promise<unknown>;
}

/** Opens the journal on the disk and reads what is there. */
export async function openOn(disk: Disk, { scan = true, before, roomBytes = 0 }: OpenedHow = {}): Promise<Opened> {
  const said: string[] = [];
  const fatal: unknown[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  const onFatal = (error: unknown): void => void fatal.push(error);
  const checkpointer: Checkpointer = async (plan) => {
    await before?.();
    return makeCheckpoint({ disk, sha256 }, plan);
  };
  const log = { warn: say, fatal: say };
  const journal = await openJournal({ directory: journalDirectory, sha256, segmentBytes, roomBytes, disk, log, onFatal, checkpointer });
  const hashes = scan ? (await collect(journal.recovered())).map(({ hash }) => hash) : [];
  return { journal, hashes, said, fatal };
}

/** A byte of each of these frames is another one. */
export async function damageFrames(disk: VolatileDisk, indexes: readonly number[]): Promise<void> {
  for (const name of await disk.list(logDirectory)) {
    const path = `${logDirectory}/${name}`;
    const bytes = Buffer.from(disk.contentOf(path));
    for (const index of indexes) {
      const at = bytes.indexOf(`"index":${String(index)},`);
      if (at !== -1) bytes[at] = 0;
    }
    disk.replaceContent(path, bytes);
  }
}
