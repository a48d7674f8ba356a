// Records in a file, at an offset that is known or behind damage, where only the marker tells. Reads a bounded window at a time.
import type { DiskFile } from './disk.ts';
import { decodeRecord, maxRecordBytes, nextMarker, type DecodedRecord, type StoredRecord } from './record.ts';

/** Several of the longest records. */
const windowBytes = 4 * maxRecordBytes;

export interface FoundRecord {
  readonly offset: number;
  readonly record: StoredRecord;
}

export class RecordSearch {
  readonly #file: DiskFile;
  readonly fileBytes: number;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: DiskFile, fileBytes: number) {
    this.#file = file;
    this.fileBytes = fileBytes;
  }

  async at(offset: number): Promise<DecodedRecord> {
    await this.#hold(offset);
    const record = decodeRecord(this.#window, offset - this.#start, offset);
    if (record.kind !== 'incomplete' || this.#start === offset || this.#reachesEnd) return record;
    await this.#load(offset);
    return decodeRecord(this.#window, 0, offset);
  }

  /** The first record at or behind `offset` whose checksum holds. */
  async next(offset: number): Promise<FoundRecord | null> {
    for (let from = offset; from < this.fileBytes;) {
      await this.#hold(from);
      const found = nextMarker(this.#window, from - this.#start);
      if (found === -1) {
        if (this.#reachesEnd) return null;
        // A marker may lie across the end of the window.
        from = Math.max(from + 1, this.#start + this.#window.length - 3);
        await this.#load(from);
        continue;
      }
      const place = this.#start + found;
      const record = await this.at(place);
      if (record.kind === 'record') return { offset: place, record };
      from = place + 1;
    }
    return null;
  }

  /** `first`, or a record behind it, says that frame `index` was durable when it was written. */
  async proves(first: FoundRecord, index: number): Promise<boolean> {
    for (let found: FoundRecord | null = first; found !== null; found = await this.next(found.offset + found.record.size))
      if (found.record.durableIndex >= index) return true;
    return false;
  }

  get #reachesEnd(): boolean {
    return this.#start + this.#window.length >= this.fileBytes;
  }

  async #hold(offset: number): Promise<void> {
    if (offset < this.#start || offset >= this.#start + this.#window.length) await this.#load(offset);
  }

  async #load(offset: number): Promise<void> {
    this.#start = offset;
    this.#window = await this.#file.read(offset, windowBytes);
  }
}
