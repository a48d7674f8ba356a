// The one queue of events of a simulation, in order of simulated time; events of one moment come in an order that is drawn.
// Between two events every promise continuation has run: what happens is a function of the seed. Nothing here waits for real time.
import type { Chance } from './chance.ts';
import type { Trace } from './trace.ts';

/** A machine whose processes may be stopped (SIGSTOP): its events are held, and come late when it goes on. */
export interface Machine {
  readonly number: number;
  paused: boolean;
  readonly held: ScheduledEvent[];
}

/** A process: nothing that it waits for happens once it is dead. */
export interface Life {
  dead: boolean;
}

export interface Where {
  readonly machine?: Machine;
  readonly life?: Life;
}

interface ScheduledEvent {
  atMs: number;
  tie: number;
  readonly kind: string;
  readonly where: Where;
  readonly run: () => void;
  cancelled: boolean;
}

const nowhere: Where = {};
const isBefore = (a: ScheduledEvent, b: ScheduledEvent): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);
/** The tick queue of Node is looked at only when no microtask is left. */
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    process.nextTick(resolve);
  });

export class Scheduler {
  nowMs = 0;
  /** Events that have happened. */
  steps = 0;
  readonly #chance: Chance;
  readonly #trace: Trace;
  readonly #heap: ScheduledEvent[] = [];

  constructor(chance: Chance, trace: Trace) {
    this.#chance = chance;
    this.#trace = trace;
  }

  /** Happens once after `delayMs`; the function that it returns takes it back. */
  after(delayMs: number, kind: string, where: Where, run: () => void): () => void {
    const event = { atMs: this.nowMs + delayMs, tie: this.#chance.u32(), kind, where, run, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** Of the world itself. */
  later(delayMs: number, kind: string, run: () => void): void {
    this.after(delayMs, kind, nowhere, run);
  }

  /** What was held back happens now, in any order. */
  resume(machine: Machine): void {
    machine.paused = false;
    for (const event of machine.held.splice(0)) {
      event.atMs = this.nowMs;
      event.tie = this.#chance.u32();
      this.#push(event);
    }
  }

  /** Lets events happen until `isOver`, or until none is left. */
  async run(isOver: () => boolean): Promise<void> {
    await settled();
    while (!isOver()) {
      const event = this.#pop();
      if (event === undefined) return;
      const { machine, life } = event.where;
      if (event.cancelled || life?.dead === true) continue;
      if (machine?.paused === true) {
        machine.held.push(event);
        continue;
      }
      this.nowMs = event.atMs;
      this.steps += 1;
      this.#trace.mixText(event.kind);
      this.#trace.mix(Math.floor(event.atMs * 1000) ^ ((machine?.number ?? -1) << 24));
      event.run();
      await settled();
    }
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): ScheduledEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
