// The real journal on a disk in memory, with segments so small that a few frames fill one.
import type { Journal } from '../../sidecar/ports.ts';
import type { Disk } from '../../sidecar/journal/disk.ts';
import { openJournal } from '../../sidecar/journal/journal.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { collect } from './sample-frames.ts';

export const journalDirectory = '/data/journal';
export const logDirectory = `${journalDirectory}/log`;
export const archiveDirectory = `${journalDirectory}/archive`;
const segmentBytes = 750;

export interface Opened {
  readonly journal: Journal;
  readonly hashes: string[];
  /** Messages of the log, warnings and worse. */
  readonly said: string[];
  readonly fatal: unknown[];
}

/** Opens the journal on the disk and reads what is there. */
export async function openOn(disk: Disk): Promise<Opened> {
  const said: string[] = [];
  const fatal: unknown[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  const onFatal = (error: unknown): void => void fatal.push(error);
  const journal = await openJournal({ directory: journalDirectory, sha256, segmentBytes, disk, log: { warn: say, fatal: say }, onFatal });
  const hashes = (await collect(journal.recovered())).map(({ frame }) => frame.hash);
  return { journal, hashes, said, fatal };
}
