// An exact record of which frames one simulated disk has durable, and which it lost: read off its bytes, whatever its process says.
// A frame that was durable and is no longer must be in the archive of that disk (I5), unless the disk itself was taken away.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, type Complaint } from './acknowledged-log.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { firstIndexOf } from '../../sidecar/journal/segment.ts';
import type { Chance } from './chance.ts';
import { damagedFrame, type FileContent } from './file-content.ts';
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

/** The sum beside an archive is that of its bytes. */
const isSound = (file: FileContent, sum: FileContent | undefined): boolean =>
  sum?.durableBytes.toString().startsWith(createHash('sha256').update(file.durableBytes).digest('hex')) === true;

/** Segments, and a rewind that is under way: its frames are durable though their file has not got its name yet. */
const isPartOfLog = (name: string): boolean => name.endsWith('.segment') || name.endsWith('.rewind');

export class DiskRecord {
  readonly #disk: SimulatedDisk;
  readonly #book: FrameBook;
  readonly #complain: Complaint;
  /** Frames that are durable, or were and have not been accounted for. */
  #held = new Set<string>();
  readonly #ever = new Set<string>();
  /** Frames that a flipped bit took or may take, each with the one that was hit. */
  readonly #atRisk = new Map<string, string>();
  /** What archives held before they were damaged. */
  readonly #archivedBefore = new Set<string>();
  /** A bit flipped on it since it was made. */
  isDamaged = false;

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
    return this.#partsOfLog().some((file) => file.holds(hash));
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
    this.#atRisk.clear();
    this.isDamaged = false;
    return lost;
  }

  /** Damage took the copy that was here, or may take it at the next start: it stood in the last batch, which one disk alone cannot tell from a torn write. */
  isAtRisk(hash: string): boolean {
    return this.#atRisk.has(hash);
  }

  /** Frames that a flipped bit has hit, and that are not repaired. */
  get damaged(): string[] {
    return [...new Set(this.#atRisk.values())].filter((hash) => !this.#held.has(hash));
  }

  /** A bit flips in one durable file. Returns which. */
  flipBit(chance: Chance): string {
    const directories = [dataDirectory, logDirectory, checkpointDirectory, archiveDirectory];
    const files = directories.flatMap((directory) =>
      [...this.#disk.durableFiles(directory)].map(([name, file]) => ({ directory, name, file })),
    );
    if (files.length === 0) return 'no file';
    const { directory, name, file } = chance.pick(files);
    for (const line of directory === archiveDirectory ? this.#archived() : []) this.#archivedBefore.add(line);
    this.isDamaged = true;
    const hashes = [...file.durableFrames];
    const hit = file.flipBit(chance);
    const hash = hashes[hit];
    if (directory !== logDirectory || hash === undefined || hash === damagedFrame) return name;
    const firstIndex = firstIndexOf(name) ?? 0;
    const isLast = [...this.#disk.durableFiles(logDirectory).keys()].every((other) => (firstIndexOf(other) ?? 0) <= firstIndex);
    const isKnownDurable = !isLast || file.provesBehind(hit, firstIndex + hit);
    for (const taken of isKnownDurable ? [hash] : hashes.slice(hit)) this.#atRisk.set(taken, hash);
    this.#held.delete(hash);
    return name;
  }

  /** A segment before another one is sealed: it was durable to its end. */
  #partsOfLog(): FileContent[] {
    const parts = [...this.#disk.durableFiles(logDirectory)].filter(([name]) => isPartOfLog(name));
    const last = Math.max(...parts.map(([name]) => firstIndexOf(name) ?? 0));
    for (const [name, file] of parts) file.isSealed ||= (firstIndexOf(name) ?? last) < last;
    return parts.map(([, file]) => file);
  }

  #update(): void {
    let frames = 0;
    for (const file of this.#partsOfLog()) {
      const hashes = file.durableFrames;
      frames += hashes.filter((hash) => hash !== damagedFrame).length;
      // From the end: what comes before a known frame is known.
      for (let at = hashes.length - 1; at >= 0; at -= 1) {
        const hash = hashes[at] ?? damagedFrame;
        if (this.#held.has(hash) && this.#atRisk.size === 0) break;
        if (hash === damagedFrame || this.#held.has(hash)) continue;
        this.#held.add(hash);
        this.#isBack(hash);
        this.#ever.add(hash);
        if (this.#book.get(hash) === undefined) this.#complain('I1', `a frame ${hash} is durable that nobody made`);
      }
    }
    if (frames < this.#held.size) this.#account();
  }

  /** It is repaired, and with it what stands behind it is known to be durable. */
  #isBack(hash: string): void {
    this.#atRisk.delete(hash);
    for (const [taken, hit] of this.#atRisk) if (hit === hash && this.#held.has(taken)) this.#atRisk.delete(taken);
  }

  /** Frames are gone: each of their changes stands in the archive, durable and with its sum. */
  #account(): void {
    const gone = [...this.#held].filter((hash) => !this.holds(hash));
    if (gone.length === 0) return;
    const archived = this.#archived();
    for (const hash of gone) {
      this.#held.delete(hash);
      if (this.#atRisk.has(hash)) continue;
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
    const lines = new Set(this.#archivedBefore);
    for (const [name, file] of files) {
      if (!name.endsWith('.ndjson') || !isSound(file, files.get(`${name}.sha256`))) continue;
      for (const line of file.durableBytes.toString().split('\n')) if (line !== '') lines.add(lineName(JSON.parse(line) as ArchivedLine));
    }
    return lines;
  }
}
