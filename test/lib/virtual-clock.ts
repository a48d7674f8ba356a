// A clock whose time passes only from event to event, and a source of chance from a seed: what runs on them takes no real time and is the same
// each time. All that follows from an event has run before the next one.
import type { Clock } from '../../sidecar/ports.ts';

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

const settled = (): Promise<void> =>
  new Promise((resolve) => {
    process.nextTick(resolve);
  });

export class VirtualClock implements Clock {
  #nowMs = 0;
  #nonces = 0;
  /** In order of time; those of one moment in the order in which they were set. */
  readonly #timers: Timer[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run };
    const at = this.#timers.findIndex(({ atMs }) => atMs > timer.atMs);
    this.#timers.splice(at === -1 ? this.#timers.length : at, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index !== -1) this.#timers.splice(index, 1);
    };
  }

  nonce(): string {
    return (this.#nonces += 1).toString(16).padStart(16, '0');
  }

  /** Lets time pass until `isOver`; throws when that takes more than `withinMs`. */
  async until(isOver: () => boolean, withinMs = 60_000): Promise<void> {
    const deadlineMs = this.#nowMs + withinMs;
    await settled();
    while (!isOver()) {
      const timer = this.#timers.shift();
      if (timer === undefined || timer.atMs > deadlineMs) throw new Error(`not within ${String(withinMs)} ms`);
      this.#nowMs = timer.atMs;
      timer.run();
      await settled();
    }
  }

  /** What the promise resolves to, in virtual time. */
  async get<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.until(() => isSettled, withinMs);
    return promise;
  }

  async pass(ms: number): Promise<void> {
    let isOver = false;
    this.after(ms, () => {
      isOver = true;
    });
    await this.until(() => isOver, ms);
  }
}

/** Mulberry32: numbers in [0, 1), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
