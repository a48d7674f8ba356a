// Appends to the last segment, which stays open between writes and grows ahead of them. Callers write one batch at a time.
import { AppError } from '../../common/errors.ts';
import { noRoom, type Disk, type DiskFile } from './disk.ts';
import type { Segment } from './segment.ts';

export class SegmentWriter {
  readonly #disk: Disk;
  readonly #roomBytes: number;
  /** Null until the first write to the segment. */
  #file: DiskFile | null = null;
  /** Size of that file; zeros behind the last record. */
  #room = 0;

  /** `roomBytes` as in `LogPlace`. */
  constructor(disk: Disk, roomBytes: number) {
    this.#disk = disk;
    this.#roomBytes = roomBytes;
  }

  /** Durable when it resolves. On AppError disk_full nothing is kept; any other failure is fatal. */
  async append({ path, size }: Pick<Segment, 'path' | 'size'>, bytes: Uint8Array): Promise<void> {
    const file = await this.#open(path);
    try {
      await this.#makeRoom(file, size + bytes.length);
      await file.write(bytes, size);
    } catch (error) {
      const why = noRoom(error);
      if (why instanceof AppError) {
        await file.truncate(size);
        await file.datasync();
        this.#room = size;
      }
      throw why;
    }
    await file.datasync();
  }

  /** The next write may be to another segment. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #open(path: string): Promise<DiskFile> {
    if (this.#file === null) {
      this.#file = await this.#disk.open(path, 'write');
      this.#room = await this.#file.size();
    }
    return this.#file;
  }

  async #makeRoom(file: DiskFile, end: number): Promise<void> {
    if (this.#roomBytes === 0 || end <= this.#room) return;
    this.#room = Math.ceil(end / this.#roomBytes) * this.#roomBytes;
    await file.truncate(this.#room);
  }
}
