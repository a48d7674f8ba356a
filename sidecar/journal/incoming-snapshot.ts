// A snapshot while it is received from another member: an unfinished file that grows chunk by chunk, each synced, and that a restart finds again.
// Its bytes mean nothing until the whole is verified. One at a time: another id drops what was there.
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import type { PartialSnapshot } from '../ports.ts';
import { inspectCheckpoint, readRecords, type CheckpointFile } from './checkpoint-file.ts';
import { noRoom, withFile, type Disk } from './disk.ts';

/** A state is held in memory: no member can have made a larger one. */
const maxSnapshotBytes = 64 * 1024 ** 3;

const nameForm = /^([0-9a-f]{64})\.received$/;
const idForm = /^[0-9a-f]{64}$/;

export class IncomingSnapshot {
  readonly #disk: Disk;
  readonly #directory: string;
  held: PartialSnapshot | null;

  private constructor(disk: Disk, directory: string, held: PartialSnapshot | null) {
    this.#disk = disk;
    this.#directory = directory;
    this.held = held;
  }

  static async open(disk: Disk, directory: string): Promise<IncomingSnapshot> {
    const found: PartialSnapshot[] = [];
    for (const name of await disk.list(directory)) {
      const id = nameForm.exec(name)?.[1];
      if (id !== undefined) found.push({ id, bytes: await withFile(disk, join(directory, name), 'read', (file) => file.size()) });
    }
    const [held = null, ...others] = found;
    for (const { id } of others) await disk.remove(pathOf(directory, id));
    return new IncomingSnapshot(disk, directory, held);
  }

  /** Resolves with the offset that is wanted next. Rejects with AppError invalid_request or disk_full; then the chunk is not there. */
  async receive(id: string, totalBytes: number, offset: number, chunk: Uint8Array): Promise<number> {
    if (!idForm.test(id)) throw new AppError('invalid_request', 'a snapshot is named by its SHA-256');
    if (totalBytes > maxSnapshotBytes || offset + chunk.length > totalBytes)
      throw new AppError(
        'invalid_request',
        `a snapshot goes beyond its ${String(totalBytes)} bytes, or is over ${String(maxSnapshotBytes)}`,
      );
    if (this.held?.id !== id) await this.#begin(id);
    const bytes = this.held?.bytes ?? 0;
    if (offset !== bytes) return bytes;
    await withFile(this.#disk, pathOf(this.#directory, id), 'write', async (file) => {
      try {
        await file.write(chunk, offset);
        await file.datasync();
      } catch (error) {
        // Nobody relies on these bytes yet, and the next try writes them again.
        throw noRoom(error);
      }
    });
    this.held = { id, bytes: offset + chunk.length };
    return this.held.bytes;
  }

  /** The whole snapshot, each byte and record of it verified. Rejects with AppError journal_corrupt or journal_version, and drops it then. */
  async verified(id: string): Promise<CheckpointFile> {
    try {
      if (this.held?.id !== id) throw new AppError('journal_corrupt', `no snapshot ${id} was received`);
      const file = await inspectCheckpoint(this.#disk, pathOf(this.#directory, id));
      if (file.sha256 !== id) throw new AppError('journal_corrupt', `${file.path} at offset 0: is another snapshot than its name says`);
      for await (const _ of readRecords(this.#disk, file));
      return file;
    } catch (error) {
      if (error instanceof AppError) await this.drop();
      throw error;
    }
  }

  async drop(): Promise<void> {
    if (this.held !== null) await this.#disk.remove(pathOf(this.#directory, this.held.id));
    this.held = null;
  }

  async #begin(id: string): Promise<void> {
    await this.drop();
    try {
      await (await this.#disk.open(pathOf(this.#directory, id), 'create')).close();
    } catch (error) {
      throw noRoom(error);
    }
    await this.#disk.syncDirectory(this.#directory);
    this.held = { id, bytes: 0 };
  }
}

const pathOf = (directory: string, id: string): string => join(directory, `${id}.received`);
