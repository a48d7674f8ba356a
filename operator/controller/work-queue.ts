// Keys to be worked on: each at most once at a time, many askings made one, failures retried later and later.
// Bounded by the number of keys (clusters) and by `workers`. It keeps no order between keys.
const firstBackoffMs = 250;
const maxBackoffMs = 60_000;
const workers = 4;
/** setTimeout fires at once when asked to wait for more than 2^31 - 1 ms. Who has to wait longer is looked at once a day. */
const maxDelayMs = 24 * 60 * 60_000;

interface Entry {
  /** `null`: nothing is asked for. */
  dueMs: number | null;
  timer: NodeJS.Timeout | null;
  running: boolean;
  failures: number;
}

export class WorkQueue {
  readonly #work: (key: string) => Promise<void>;
  readonly #onFailure: (key: string, error: unknown, retryInMs: number) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #ready: string[] = [];
  readonly #active = new Set<Promise<void>>();
  /** Until it is started, keys are only collected. */
  #running = false;
  #stopped = false;

  constructor(work: (key: string) => Promise<void>, onFailure: (key: string, error: unknown, retryInMs: number) => void) {
    this.#work = work;
    this.#onFailure = onFailure;
  }

  /** Works on the key in `delayMs`, or earlier: when that was asked for already, or after a day. */
  add(key: string, delayMs = 0): void {
    if (this.#stopped) return;
    const entry = this.#entries.get(key) ?? { dueMs: null, timer: null, running: false, failures: 0 };
    this.#entries.set(key, entry);
    const cappedMs = Math.min(delayMs, maxDelayMs);
    const dueMs = performance.now() + cappedMs;
    if (entry.dueMs !== null && entry.dueMs <= dueMs) return;
    entry.dueMs = dueMs;
    if (entry.timer !== null) clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      entry.timer = null;
      if (!entry.running) this.#enqueue(key);
    }, cappedMs);
  }

  start(): void {
    this.#running = true;
    this.#startNext();
  }

  /** No new work; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#stopped = true;
    for (const { timer } of this.#entries.values()) if (timer !== null) clearTimeout(timer);
    this.#ready.length = 0;
    await Promise.allSettled(this.#active);
  }

  #enqueue(key: string): void {
    this.#ready.push(key);
    this.#startNext();
  }

  #startNext(): void {
    while (this.#running && this.#active.size < workers) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      const run = this.#run(key).finally(() => {
        this.#active.delete(run);
        this.#startNext();
      });
      this.#active.add(run);
    }
  }

  async #run(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.running = true;
    entry.dueMs = null;
    try {
      await this.#work(key);
      entry.failures = 0;
    } catch (error) {
      entry.failures += 1;
      const retryInMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(entry.failures - 1, 10));
      this.#onFailure(key, error, retryInMs);
      this.add(key, retryInMs);
    } finally {
      entry.running = false;
    }
    this.#settle(key, entry);
  }

  #settle(key: string, entry: Entry): void {
    if (entry.dueMs === null) this.#entries.delete(key);
    // Asked for while it ran, and its time has come.
    else if (entry.timer === null) this.#enqueue(key);
  }
}
