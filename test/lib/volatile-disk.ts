// A disk in memory that tells what was synced from what was not. It can stop before any operation, as a crash does, and lose power:
// then an arbitrary part of what was not synced is there at the next start, file contents and names independently, writes torn.
// Directories themselves are durable at once.
import { basename, dirname } from 'node:path';
import type { Disk, DiskFile } from '../../sidecar/journal/disk.ts';

type Change =
  { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer } | { readonly kind: 'truncate'; readonly size: number };
class Inode {
  bytes: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  pending: Change[] = [];
}
type Naming =
  | { readonly kind: 'link'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode };
class Directory {
  names = new Map<string, Inode>();
  durable = new Map<string, Inode>();
  pending: Naming[] = [];
}

function changed(bytes: Buffer, change: Change): Buffer {
  const size = change.kind === 'truncate' ? change.size : Math.max(bytes.length, change.position + change.bytes.length);
  const result = Buffer.alloc(size);
  bytes.copy(result);
  if (change.kind === 'write') change.bytes.copy(result, change.position);
  return result;
}

function rename(names: Map<string, Inode>, naming: Naming): void {
  if (naming.kind === 'link') names.set(naming.name, naming.inode);
  if (naming.kind === 'unlink') names.delete(naming.name);
  if (naming.kind === 'rename') {
    names.delete(naming.from);
    names.set(naming.to, naming.inode);
  }
}

/** What is left of the operations that were not synced. `random` gives numbers in [0, 1). */
export type Survival =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'some'; readonly random: () => number }
  /** Whole operations of `unsynced`. */
  | { readonly kind: 'these'; readonly operations: ReadonlySet<Unsynced> };
export type Unsynced = Change | Naming;

export class VolatileDisk implements Disk {
  readonly #directories = new Map<string, Directory>();
  /** Operations that change something or sync, so far. */
  operations = 0;
  /** The operation with this number, and all after it, never return. */
  stopBefore = Infinity;
  /** Resolves when the disk has stopped. */
  readonly stopped: Promise<'stopped'>;
  #stop: (value: 'stopped') => void = () => undefined;

  constructor() {
    this.stopped = new Promise((resolve) => (this.#stop = resolve));
  }

  /** Operations that a power loss may undo, in a set order. */
  unsynced(): Unsynced[] {
    const found: Unsynced[] = [];
    const inodes = new Set<Inode>();
    for (const { durable, pending } of this.#directories.values()) {
      found.push(...pending);
      for (const inode of durable.values()) inodes.add(inode);
      for (const naming of pending) if (naming.kind !== 'unlink') inodes.add(naming.inode);
    }
    return [...found, ...[...inodes].flatMap(({ pending }) => pending)];
  }

  /** The disk as the next start finds it. */
  afterPowerLoss(survival: Survival): VolatileDisk {
    const next = new VolatileDisk();
    const inodes = new Map<Inode, Inode>();
    const survivor = (inode: Inode): Inode => {
      const known = inodes.get(inode);
      if (known !== undefined) return known;
      const copy = new Inode();
      copy.bytes = inode.pending.reduce((bytes, change) => {
        const kept = survivingPart(change, survival);
        return kept === null ? bytes : changed(bytes, kept);
      }, inode.durable);
      copy.durable = copy.bytes;
      inodes.set(inode, copy);
      return copy;
    };
    for (const [path, directory] of this.#directories) {
      const names = new Map(directory.durable);
      for (const naming of directory.pending) if (survives(naming, survival)) rename(names, naming);
      const copy = new Directory();
      copy.names = new Map([...names].map(([name, inode]) => [name, survivor(inode)]));
      copy.durable = new Map(copy.names);
      next.#directories.set(path, copy);
    }
    return next;
  }

  /** Content of a file, to look at or to damage; a change is durable. */
  contentOf(path: string): Buffer {
    return this.#inode(path).bytes;
  }

  replaceContent(path: string, bytes: Buffer): void {
    const inode = this.#inode(path);
    inode.bytes = inode.durable = bytes;
    inode.pending = [];
  }

  async makeDirectory(path: string): Promise<void> {
    for (let each = path; !this.#directories.has(each); each = dirname(each)) this.#directories.set(each, new Directory());
  }

  async list(directory: string): Promise<string[]> {
    return [...this.#directory(directory).names.keys()];
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    const directory = this.#directory(dirname(path));
    let inode = directory.names.get(basename(path));
    if (mode !== 'create' && inode === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    if (mode === 'create') await this.#operation();
    if (inode === undefined) {
      inode = new Inode();
      this.#name(directory, { kind: 'link', name: basename(path), inode });
    } else if (mode === 'create') this.#change(inode, { kind: 'truncate', size: 0 });
    return this.#file(inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operation();
    const inode = this.#inode(from);
    this.#name(this.#directory(dirname(to)), { kind: 'rename', from: basename(from), to: basename(to), inode });
  }

  async remove(path: string): Promise<void> {
    await this.#operation();
    this.#name(this.#directory(dirname(path)), { kind: 'unlink', name: basename(path) });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#operation();
    const directory = this.#directory(path);
    directory.durable = new Map(directory.names);
    directory.pending = [];
  }

  #file(inode: Inode): DiskFile {
    return {
      read: async (position, length) => Buffer.from(inode.bytes.subarray(position, position + length)),
      write: async (bytes, position) => {
        await this.#operation();
        this.#change(inode, { kind: 'write', position, bytes: Buffer.from(bytes) });
      },
      truncate: async (size) => {
        await this.#operation();
        this.#change(inode, { kind: 'truncate', size });
      },
      size: async () => inode.bytes.length,
      datasync: async () => {
        await this.#operation();
        inode.durable = inode.bytes;
        inode.pending = [];
      },
      close: async () => undefined,
    };
  }

  async #operation(): Promise<void> {
    this.operations += 1;
    if (this.operations < this.stopBefore) return;
    this.#stop('stopped');
    await new Promise<never>(() => undefined);
  }

  #change(inode: Inode, change: Change): void {
    inode.bytes = changed(inode.bytes, change);
    inode.pending.push(change);
  }

  #name(directory: Directory, naming: Naming): void {
    rename(directory.names, naming);
    directory.pending.push(naming);
  }

  #directory(path: string): Directory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw new Error(`ENOENT: ${path}`);
    return directory;
  }

  #inode(path: string): Inode {
    const inode = this.#directory(dirname(path)).names.get(basename(path));
    if (inode === undefined) throw new Error(`ENOENT: ${path}`);
    return inode;
  }
}

function survives(operation: Unsynced, survival: Survival): boolean {
  if (survival.kind === 'these') return survival.operations.has(operation);
  return survival.kind === 'all' || (survival.kind === 'some' && survival.random() < 0.5);
}

function survivingPart(change: Change, survival: Survival): Change | null {
  if (survival.kind !== 'some' || change.kind === 'truncate') return survives(change, survival) ? change : null;
  const draw = survival.random();
  if (draw < 1 / 3) return null;
  if (draw < 2 / 3) return change;
  // Torn: some of its bytes are there from the start on, or only from the middle on.
  const cut = Math.floor(survival.random() * change.bytes.length);
  return survival.random() < 0.5
    ? { ...change, bytes: change.bytes.subarray(0, cut) }
    : { kind: 'write', position: change.position + cut, bytes: change.bytes.subarray(cut) };
}
