// Where the suites of the journal's contract keep a journal: a directory of this machine, or memory. Both can be full.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realDisk } from '../../sidecar/journal/disk.ts';
import { openJournal } from '../../sidecar/journal/journal.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { faultyDisk, noFaults } from './faulty-disk.ts';
import { emptyMemoryDisk, MemoryJournal } from './memory-journal.ts';

export interface Volume {
  open(): Promise<Journal>;
  setFull(full: boolean): void;
  drop(): Promise<void>;
}

export async function realVolume(): Promise<Volume> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-'));
  const faults = noFaults();
  return {
    open: () =>
      openJournal({
        directory,
        sha256,
        segmentBytes: 2000,
        disk: faultyDisk(realDisk, faults),
        log: { warn: () => undefined, fatal: () => undefined },
        onFatal: (error) => {
          throw error;
        },
      }),
    setFull: (full) => (faults.full = full),
    drop: () => rm(directory, { recursive: true }),
  };
}

export async function memoryVolume(): Promise<Volume> {
  const disk = emptyMemoryDisk();
  return {
    open: async () => new MemoryJournal(disk),
    setFull: (full) => (disk.full = full),
    drop: async () => undefined,
  };
}
