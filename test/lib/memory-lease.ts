// The leader Lease in memory, with the contract of the one at an API server: one record, conditional writes, watchers, an outage on request.
import type { StartRound } from '../../common/report.ts';
import type { LeaderLease, LeaseRecord } from '../../sidecar/ports.ts';

export class MemoryLeaseServer {
  #record: LeaseRecord;
  #available = true;
  readonly #watchers = new Set<(record: LeaseRecord | null) => void>();

  constructor(leaseDurationMs: number) {
    this.#record = { holder: '', leaseDurationMs, version: '1', round: null };
  }

  /** `null` while it cannot be reached. */
  get record(): LeaseRecord | null {
    return this.#available ? this.#record : null;
  }

  setAvailable(available: boolean): void {
    this.#available = available;
    this.#tell();
  }

  watch(watcher: (record: LeaseRecord | null) => void): void {
    this.#watchers.add(watcher);
    this.#tell();
  }

  unwatch(watcher: (record: LeaseRecord | null) => void): void {
    this.#watchers.delete(watcher);
  }

  /** What the operator does. */
  openRound(round: StartRound | null): void {
    this.#change({ round });
  }

  write(holder: string, version: string): 'written' | 'conflict' | 'unavailable' {
    if (!this.#available) return 'unavailable';
    if (version !== this.#record.version) return 'conflict';
    this.#change({ holder });
    return 'written';
  }

  #change(part: Partial<LeaseRecord>): void {
    this.#record = { ...this.#record, ...part, version: String(Number(this.#record.version) + 1) };
    this.#tell();
  }

  #tell(): void {
    const { record } = this;
    for (const watcher of this.#watchers) setImmediate(() => this.#watchers.has(watcher) && watcher(record));
  }
}

export class MemoryLease implements LeaderLease {
  readonly #server: MemoryLeaseServer;
  #watcher: ((record: LeaseRecord | null) => void) | null = null;

  constructor(server: MemoryLeaseServer) {
    this.#server = server;
  }

  watch(onRecord: (record: LeaseRecord | null) => void): void {
    this.close();
    this.#watcher = onRecord;
    this.#server.watch(onRecord);
  }

  async write(holder: string, version: string): Promise<'written' | 'conflict' | 'unavailable'> {
    await new Promise(setImmediate);
    const result = this.#server.write(holder, version);
    // What was written is told first.
    await new Promise(setImmediate);
    return result;
  }

  close(): void {
    if (this.#watcher !== null) this.#server.unwatch(this.#watcher);
    this.#watcher = null;
  }
}
