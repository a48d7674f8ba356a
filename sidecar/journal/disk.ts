// The few operations on files that the journal needs, and their form on a real disk.
// A port, so that a test can stop between any two of them, lose what was not synced, and fill the disk.
// What a call has done is durable only after the sync that belongs to it: of the file for its bytes, of the directory for its names.
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';

export interface DiskFile {
  /** Fewer bytes than `length` only at the end of the file. */
  read(position: number, length: number): Promise<Buffer>;
  /** All of `bytes`, or it rejects; some of them may then be in the file. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  /** Bytes and size are on the disk. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory, in no order. */
  list(directory: string): Promise<string[]>;
  /** `create` empties a file that is there. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /** No error when there is no such file. */
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}

/** A file that is being made. It has no meaning until it is renamed; `removeUnfinished` drops it. */
const unfinishedSuffix = '.unfinished';

const openFlags = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
};

function diskFile(handle: FileHandle): DiskFile {
  return {
    async read(position, length) {
      const buffer = Buffer.allocUnsafe(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return buffer.subarray(0, filled);
    },
    async write(bytes, position) {
      let written = 0;
      // A disk that fills up takes a part first, and says ENOSPC to the rest.
      while (written < bytes.length)
        written += (await handle.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
    },
    truncate: (size) => handle.truncate(size),
    size: async () => (await handle.stat()).size,
    datasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

export const realDisk: Disk = {
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true });
  },
  list: (directory) => readdir(directory),
  open: async (path, mode) => diskFile(await open(path, openFlags[mode], 0o600)),
  rename,
  remove: (path) => rm(path, { force: true }),
  syncDirectory: async (path) => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** Opens a file for as long as `use` takes. */
export async function withFile<T>(disk: Disk, path: string, mode: 'read' | 'write', use: (file: DiskFile) => Promise<T>): Promise<T> {
  const file = await disk.open(path, mode);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** A disk or a quota that is full becomes AppError disk_full; any other failure stays what it is, and the journal takes it as fatal. */
export function noRoom(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new AppError('disk_full', 'the journal has no room for this step; none of its frames is kept', error)
    : error;
}

/**
 * Makes or replaces a file whole: written beside, synced, renamed, directory synced. After a crash there is the old file or the new one.
 * Rejects with AppError disk_full when there was no room; the old file is then still there.
 */
export async function replaceFile(
  disk: Disk,
  directory: string,
  name: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const unfinished = join(directory, name + unfinishedSuffix);
  try {
    const file = await disk.open(unfinished, 'create');
    try {
      let position = 0;
      for await (const bytes of content) {
        await file.write(bytes, position);
        position += bytes.length;
      }
      // Even a sync may say that the disk is full here: nobody relies on this file yet, and it is thrown away.
      await file.datasync();
    } finally {
      await file.close();
    }
    await disk.rename(unfinished, join(directory, name));
  } catch (error) {
    await disk.remove(unfinished);
    throw noRoom(error);
  }
  await disk.syncDirectory(directory);
}

/** Drops what a crash left half made. Needs no sync: what comes back after a power loss is dropped again. */
export async function removeUnfinished(disk: Disk, directory: string): Promise<void> {
  for (const name of await disk.list(directory)) if (name.endsWith(unfinishedSuffix)) await disk.remove(join(directory, name));
}
