// The checkpoints of a journal: the newest, from which the state is loaded, and the one before it, up to which the log may be compacted.
// Every byte of them is verified when the journal is opened. A damaged one is set aside under another name and logged; the other one serves.
import { join } from 'node:path';
import { AppError } from '../../common/errors.ts';
import type { SnapshotHead } from '../core/snapshot.ts';
import { checkpointIndexOf, checkpointName } from './checkpoint.ts';
import { inspectCheckpoint, type CheckpointFile } from './checkpoint-file.ts';
import type { Snapshot } from '../ports.ts';
import { removeUnfinished, withFile, type Disk } from './disk.ts';
import type { SegmentReader } from './stretch.ts';

const keptCheckpoints = 2;
/** Of a snapshot, read at a time. */
const maxChunkBytes = 4 * 1024 * 1024;
const damagedSuffix = '.damaged';

const indexOf = ({ head }: CheckpointFile): number => head.position.index;

export class Checkpoints {
  readonly #disk: Disk;
  readonly directory: string;
  /** In order of index. */
  #files: CheckpointFile[];

  private constructor(disk: Disk, directory: string, files: CheckpointFile[]) {
    this.#disk = disk;
    this.directory = directory;
    this.#files = files;
  }

  /** Rejects with AppError journal_version for a format that is not known. */
  static async open({ disk, log }: Pick<SegmentReader, 'disk' | 'log'>, directory: string): Promise<Checkpoints> {
    const files: CheckpointFile[] = [];
    for (const name of (await disk.list(directory)).filter((each) => checkpointIndexOf(each) !== null).sort()) {
      const path = join(directory, name);
      const file = await orDamage(inspectNamed(disk, path, name));
      if (!(file instanceof AppError)) files.push(file);
      else {
        log.warn({ file: path, err: file }, 'a checkpoint is damaged and set aside');
        await disk.rename(path, path + damagedSuffix);
        await disk.syncDirectory(directory);
      }
    }
    return new Checkpoints(disk, directory, files.slice(-keptCheckpoints));
  }

  get newest(): CheckpointFile | null {
    return this.#files.at(-1) ?? null;
  }

  /** Index up to which frames are needed no more, whichever of two checkpoints is lost; 0 when there are not two. */
  get compactableIndex(): number {
    const [older] = this.#files;
    return older === undefined || this.#files.length < keptCheckpoints ? 0 : indexOf(older);
  }

  /** The newest, on its way to another member. */
  snapshot(): Snapshot | null {
    const { newest } = this;
    return newest === null ? null : { id: newest.sha256, bytes: newest.bytes, head: newest.head };
  }

  /** Bytes of a snapshot; null when two newer ones have taken its place. The last ones only when the whole verifies: nobody may rely on a damaged one, nor take it. */
  async read(id: string, offset: number, maxBytes: number): Promise<Buffer | null> {
    const file = this.#fileOf(id);
    if (file === undefined) return null;
    try {
      const bytes = await withFile(this.#disk, file.path, 'read', (open) => open.read(offset, Math.min(maxBytes, maxChunkBytes)));
      if (offset + bytes.length >= file.bytes) await this.#verify(file);
      return bytes;
    } catch (error) {
      if (this.#fileOf(id) === undefined) return null;
      throw error;
    }
  }

  #fileOf(id: string): CheckpointFile | undefined {
    return this.#files.find(({ sha256 }) => sha256 === id);
  }

  async #verify({ path, sha256 }: CheckpointFile): Promise<void> {
    const found = await inspectCheckpoint(this.#disk, path);
    if (found.sha256 !== sha256) throw new AppError('journal_corrupt', `${path} at offset 0: holds another state than it did`);
  }

  /** There is a state at or before `index`. */
  reaches(index: number): boolean {
    return this.#files.some((file) => indexOf(file) <= index);
  }

  /** One that is durable when it resolves: only then those that are kept no more are removed. Nothing of it is left when it rejects with an AppError. */
  async add(making: Promise<CheckpointFile>): Promise<SnapshotHead> {
    const file = await making.catch(async (error: unknown) => {
      if (error instanceof AppError) await removeUnfinished(this.#disk, this.directory);
      throw error;
    });
    this.#files = [...this.#files, file].slice(-keptCheckpoints);
    const kept = new Set(this.#files.map(({ head }) => checkpointName(head.position)));
    for (const name of await this.#disk.list(this.directory))
      if (checkpointIndexOf(name) !== null && !kept.has(name)) await this.#disk.remove(join(this.directory, name));
    await this.#disk.syncDirectory(this.directory);
    return file.head;
  }

  /** A rewind to `index` has removed those beyond. */
  forgetBeyond(index: number): void {
    this.#files = this.#files.filter((file) => indexOf(file) <= index);
  }

  /** A snapshot has taken the place of all. */
  replaceBy(file: CheckpointFile): void {
    this.#files = [file];
  }
}

async function inspectNamed(disk: Disk, path: string, name: string): Promise<CheckpointFile> {
  const file = await inspectCheckpoint(disk, path);
  if (checkpointName(file.head.position) !== name)
    throw new AppError('journal_corrupt', `${path} at offset 0: holds another state than its name says`);
  return file;
}

/** Damage is an answer here; an unknown version and a failing disk are not. */
const orDamage = (inspected: Promise<CheckpointFile>): Promise<CheckpointFile | AppError> =>
  inspected.catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'journal_corrupt') return error;
    throw error;
  });

/** Removes the checkpoints beyond `index`, durably. */
export async function removeCheckpointsBeyond(disk: Disk, directory: string, index: number): Promise<void> {
  for (const name of await disk.list(directory)) if ((checkpointIndexOf(name) ?? 0) > index) await disk.remove(join(directory, name));
  await disk.syncDirectory(directory);
}
