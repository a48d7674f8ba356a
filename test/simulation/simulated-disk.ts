// The disk of one simulated host below the real journal. Each operation takes effect, and is answered, as an event of its own.
// What was not synced may be lost; a full disk, a slow one, and one that fails its syncs come on demand. Directories themselves are durable at once.
import { basename, dirname } from 'node:path';
import type { Disk, DiskFile } from '../../sidecar/journal/disk.ts';
import type { Chance } from './chance.ts';
import { FileContent } from './file-content.ts';
import type { Life, Machine, Scheduler } from './scheduler.ts';

type Naming =
  | { readonly kind: 'link'; readonly name: string; readonly file: FileContent }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly file: FileContent };

class Directory {
  readonly names = new Map<string, FileContent>();
  durable = new Map<string, FileContent>();
  unsynced: Naming[] = [];

  name(naming: Naming): void {
    rename(this.names, naming);
    this.unsynced.push(naming);
  }
}

function rename(names: Map<string, FileContent>, naming: Naming): void {
  if (naming.kind === 'link') names.set(naming.name, naming.file);
  if (naming.kind === 'unlink') names.delete(naming.name);
  if (naming.kind === 'rename') {
    names.delete(naming.from);
    names.set(naming.to, naming.file);
  }
}

const failure = (code: string): Error => Object.assign(new Error(code), { code });

export interface DiskTimes {
  readonly operationMs: number;
  readonly syncMs: number;
}

export class SimulatedDisk {
  full = false;
  failsSyncs = false;
  /** How much longer everything takes. */
  slowness = 1;
  /** After each change of what is durable. */
  onDurable: () => void = () => undefined;
  readonly #chance: Chance;
  readonly #scheduler: Scheduler;
  readonly #times: DiskTimes;
  readonly #directories = new Map<string, Directory>();
  /** Operations that were asked for and have not happened yet. */
  readonly #underWay = new Set<() => void>();

  constructor(chance: Chance, scheduler: Scheduler, times: DiskTimes) {
    this.#chance = chance;
    this.#scheduler = scheduler;
    this.#times = times;
  }

  /** The disk as a process on the machine uses it. */
  mount(machine: Machine, life: Life): Disk {
    const operate = <T>(kind: string, takesMs: number, run: () => T): Promise<T> => {
      if (life.dead) return new Promise(() => undefined);
      return new Promise((resolve, reject) => {
        const begun = (): void => void run();
        this.#underWay.add(begun);
        const delayMs = this.#chance.between(0.2, 2) * takesMs * this.slowness;
        this.#scheduler.after(delayMs, kind, { machine, life }, () => {
          this.#underWay.delete(begun);
          try {
            resolve(run());
          } catch (error) {
            reject(error instanceof Error ? error : new Error('a disk failed oddly', { cause: error }));
          }
        });
      });
    };
    const { operationMs, syncMs } = this.#times;
    return {
      makeDirectory: (path) => operate('mkdir', operationMs, () => this.#makeDirectory(path)),
      list: (path) => operate('list', operationMs, () => [...this.#directory(path).names.keys()]),
      open: (path, mode) => operate('open', operationMs, () => this.#file(this.#open(path, mode), operate)),
      rename: (from, to) =>
        operate('rename', operationMs, () => {
          const file = this.#fileAt(from);
          this.#directory(dirname(to)).name({ kind: 'rename', from: basename(from), to: basename(to), file });
        }),
      remove: (path) => operate('remove', operationMs, () => this.#directory(dirname(path)).name({ kind: 'unlink', name: basename(path) })),
      syncDirectory: (path) => operate('syncDirectory', syncMs, () => this.#syncDirectory(path)),
    };
  }

  /** The process has ended: what it had asked for may still have happened. */
  abandon(): void {
    for (const run of this.#underWay) {
      if (!this.#chance.happens(0.5)) continue;
      try {
        run();
      } catch {
        // Nobody is left to be told that it failed.
      }
    }
    this.#underWay.clear();
  }

  losePower(): void {
    for (const directory of this.#directories.values()) {
      for (const naming of directory.unsynced) if (this.#chance.happens(0.5)) rename(directory.durable, naming);
      directory.unsynced = [];
      directory.names.clear();
      for (const [name, file] of directory.durable) {
        directory.names.set(name, file);
        file.loseUnsynced(this.#chance);
      }
    }
    this.onDurable();
  }

  /** Another, empty one is in its place. */
  lose(): void {
    this.#directories.clear();
    this.onDurable();
  }

  snapshot(): ReadonlyMap<string, ReadonlyMap<string, FileContent>> {
    return new Map(
      [...this.#directories].map(([path, { durable }]) => [path, new Map([...durable].map(([name, file]) => [name, file.copy()]))]),
    );
  }

  restore(snapshot: ReadonlyMap<string, ReadonlyMap<string, FileContent>>): void {
    this.#directories.clear();
    for (const [path, files] of snapshot) {
      const directory = new Directory();
      for (const [name, file] of files) directory.names.set(name, file.copy());
      directory.durable = new Map(directory.names);
      this.#directories.set(path, directory);
    }
    this.onDurable();
  }

  /** Files of a directory that a power loss would leave there. */
  durableFiles(directory: string): ReadonlyMap<string, FileContent> {
    return this.#directories.get(directory)?.durable ?? new Map<string, FileContent>();
  }

  #makeDirectory(path: string): void {
    for (let each = path; !this.#directories.has(each); each = dirname(each)) this.#directories.set(each, new Directory());
  }

  #open(path: string, mode: 'read' | 'write' | 'create'): FileContent {
    const directory = this.#directory(dirname(path));
    const known = directory.names.get(basename(path));
    if (known === undefined) {
      if (mode !== 'create') throw failure('ENOENT');
      const file = new FileContent();
      directory.name({ kind: 'link', name: basename(path), file });
      return file;
    }
    if (mode === 'create') known.change({ kind: 'truncate', size: 0 });
    return known;
  }

  #file(file: FileContent, operate: <T>(kind: string, takesMs: number, run: () => T) => Promise<T>): DiskFile {
    const { operationMs, syncMs } = this.#times;
    return {
      read: (position, length) => operate('read', operationMs, () => Buffer.from(file.bytes.subarray(position, position + length))),
      write: (bytes, position) => operate('write', operationMs, () => this.#write(file, Buffer.from(bytes), position)),
      truncate: (size) => operate('truncate', operationMs, () => file.change({ kind: 'truncate', size })),
      size: () => operate('size', operationMs, () => file.bytes.length),
      datasync: () => operate('datasync', syncMs, () => this.#sync(file)),
      close: () => Promise.resolve(),
    };
  }

  #write(file: FileContent, bytes: Buffer, position: number): void {
    const written = this.full ? bytes.subarray(0, this.#chance.below(bytes.length)) : bytes;
    if (written.length > 0) file.change({ kind: 'write', position, bytes: written });
    if (this.full) throw failure('ENOSPC');
  }

  #sync(file: FileContent): void {
    if (this.failsSyncs) {
      // The page cache is no witness any more of what the disk has.
      file.loseUnsynced(this.#chance);
      this.onDurable();
      throw failure('EIO');
    }
    file.sync();
    this.onDurable();
  }

  #syncDirectory(path: string): void {
    const directory = this.#directory(path);
    directory.durable = new Map(directory.names);
    directory.unsynced = [];
    this.onDurable();
  }

  #directory(path: string): Directory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw failure('ENOENT');
    return directory;
  }

  #fileAt(path: string): FileContent {
    const file = this.#directory(dirname(path)).names.get(basename(path));
    if (file === undefined) throw failure('ENOENT');
    return file;
  }
}
