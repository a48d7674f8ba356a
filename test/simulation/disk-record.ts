// An exact record of which frames one simulated disk has durable, and which it lost: read off its bytes, whatever its process says.
// A frame that was durable and is no longer must be in the archive of that disk (I5), unless the disk itself was taken away.
import { join } from 'node:path';
import { describe, type Complaint } from './acknowledged-log.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { FrameBook } from './frame-book.ts';
import type { SimulatedDisk } from './simulated-disk.ts';

export const dataDirectory = '/data/journal';
const logDirectory = join(dataDirectory, 'log');
const archiveDirectory = join(dataDirectory, 'archive');
const checkpointDirectory = join(dataDirectory, 'checkpoint');

/** A checkpoint is named by the index of its frame and the beginning of its hash; so is a snapshot that is about to take the place of the log. */
const checkpointForm = /^(\d{16})-([0-9a-f]{16})\.checkpoint(\.installing)?$/;

interface ArchivedLine {
  readonly uid: number;
  readonly index: number;
  readonly epoch: { readonly nonce: string };
}
const lineName = ({ uid, index, epoch }: ArchivedLine): string => `${String(uid)}/${String(index)}/${epoch.nonce}`;

/** Segments, and a rewind that is under way: its frames are durable though their file has not got its name yet. */
const isPartOfLog = (name: string): boolean => name.endsWith('.segment') || name.endsWith('.rewind');

export class DiskRecord {
  readonly #disk: SimulatedDisk;
  readonly #book: FrameBook;
  readonly #complain: Complaint;
  /** Frames that are durable, or were and have not been accounted for. */
  #held = new Set<string>();
  readonly #ever = new Set<string>();

  constructor(pod: string, disk: SimulatedDisk, book: FrameBook, complain: Complaint) {
    this.#disk = disk;
    this.#book = book;
    this.#complain = (invariant, message) => complain(invariant, `${pod}: ${message}`);
    disk.onDurable = () => {
      this.#update();
    };
  }

  /** Would survive a power loss now. */
  holds(hash: string): boolean {
    for (const [name, file] of this.#disk.durableFiles(logDirectory)) if (isPartOfLog(name) && file.holds(hash)) return true;
    return false;
  }

  /** Is part of the log here, compacted or not. */
  covers(hash: string): boolean {
    const frame = this.#book.get(hash);
    return this.holds(hash) || (frame !== undefined && this.#isCompacted(frame));
  }

  /** Was durable here once: what a report said then may be counted later. */
  hasHeld(hash: string): boolean {
    return this.#ever.has(hash);
  }

  /** The disk was replaced: what it held is no longer expected of it. Returns the hashes. */
  forget(): ReadonlySet<string> {
    const lost = this.#held;
    this.#held = new Set();
    return lost;
  }

  #update(): void {
    let frames = 0;
    for (const [name, file] of this.#disk.durableFiles(logDirectory)) {
      if (!isPartOfLog(name)) continue;
      const hashes = file.durableFrames;
      frames += hashes.length;
      // From the end: what comes before a known frame is known.
      for (let at = hashes.length - 1; at >= 0; at -= 1) {
        const hash = hashes[at] ?? '';
        if (this.#held.has(hash)) break;
        this.#held.add(hash);
        this.#ever.add(hash);
        if (this.#book.get(hash) === undefined) this.#complain('I1', `a frame ${hash} is durable that nobody made`);
      }
    }
    if (frames < this.#held.size) this.#account();
  }

  /** Frames are gone: each of their changes stands in the archive, durable and with its sum. */
  #account(): void {
    const gone = [...this.#held].filter((hash) => !this.holds(hash));
    if (gone.length === 0) return;
    const archived = this.#archived();
    for (const hash of gone) {
      this.#held.delete(hash);
      const frame = this.#book.get(hash);
      if (frame === undefined || this.#isCompacted(frame)) continue;
      frame.changes.forEach((_change, at) => {
        const line = lineName({ uid: frame.firstUid + at, index: frame.index, epoch: frame.epoch });
        if (!archived.has(line))
          this.#complain('I5', `change ${String(frame.firstUid + at)} of frame ${describe(frame)} is gone and not in the archive`);
      });
    }
  }

  /** A durable checkpoint holds what it made. */
  #isCompacted(frame: Frame): boolean {
    for (const name of this.#disk.durableFiles(checkpointDirectory).keys()) {
      const [, index, hash] = checkpointForm.exec(name) ?? [];
      if (index !== undefined && hash !== undefined && this.#book.holdsAt(Number(index), hash, frame)) return true;
    }
    return false;
  }

  #archived(): Set<string> {
    const files = this.#disk.durableFiles(archiveDirectory);
    const lines = new Set<string>();
    for (const [name, file] of files) {
      if (!name.endsWith('.ndjson') || !files.has(`${name}.sha256`)) continue;
      for (const line of file.durableBytes.toString().split('\n')) if (line !== '') lines.add(lineName(JSON.parse(line) as ArchivedLine));
    }
    return lines;
  }
}
