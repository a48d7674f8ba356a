// A disk that fails on demand, around another one: it fills up (a write takes a part first), or a sync reports an error.
import type { Disk, DiskFile } from '../../sidecar/journal/disk.ts';

export interface Faults {
  full: boolean;
  /** The rename that finds no room, counted from 1; null for none. It is the last thing that can fail before a file is in its place. */
  failingRename: number | null;
  syncFails: boolean;
}
export const noFaults = (): Faults => ({ full: false, failingRename: null, syncFails: false });

const failure = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code });

function faultyFile(file: DiskFile, faults: Faults): DiskFile {
  return {
    ...file,
    async write(bytes, position) {
      if (!faults.full) return file.write(bytes, position);
      await file.write(bytes.subarray(0, Math.floor(bytes.length / 2)), position);
      throw failure('ENOSPC');
    },
    async datasync() {
      if (faults.syncFails) throw failure('EIO');
      await file.datasync();
    },
  };
}

export const faultyDisk = (disk: Disk, faults: Faults): Disk => ({
  makeDirectory: (path) => disk.makeDirectory(path),
  list: (directory) => disk.list(directory),
  open: async (path, mode) => faultyFile(await disk.open(path, mode), faults),
  rename: async (from, to) => {
    if (faults.failingRename !== null && (faults.failingRename -= 1) === 0) throw failure('ENOSPC');
    await disk.rename(from, to);
  },
  remove: (path) => disk.remove(path),
  syncDirectory: (path) => disk.syncDirectory(path),
});
