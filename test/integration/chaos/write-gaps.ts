// How long nobody was answered that a change is made, fault by fault. Times are those of one monotonic clock, in milliseconds.
// A gap is the longest time between two acknowledgements, from the last one before the fault to the first one of a change asked for after it.

export class WriteGaps {
  /** When the change was asked for that was acknowledged last, of those that were asked for last. */
  latestInvokedMs = 0;
  #lastMs = 0;
  #longestMs = 0;
  readonly #byFault = new Map<string, number[]>();

  acknowledged(invokedMs: number, returnedMs: number): void {
    this.latestInvokedMs = Math.max(this.latestInvokedMs, invokedMs);
    if (this.#lastMs > 0) this.#longestMs = Math.max(this.#longestMs, returnedMs - this.#lastMs);
    this.#lastMs = returnedMs;
  }

  /** The longest since the last call, booked to this fault. */
  close(fault: string): number {
    const gapMs = Math.round(this.#longestMs);
    this.#longestMs = 0;
    this.#byFault.set(fault, [...(this.#byFault.get(fault) ?? []), gapMs]);
    return gapMs;
  }

  table(): string[] {
    const rows = [...this.#byFault].map(([fault, gaps]) => {
      const sorted = gaps.toSorted((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
      return [fault, sorted.length, median, sorted.at(-1) ?? 0].map(String);
    });
    const cells = [['fault', 'times', 'median ms', 'longest ms'], ...rows];
    return cells.map(([fault = '', ...numbers]) => `${fault.padEnd(36)}${numbers.map((number) => number.padStart(12)).join('')}`);
  }
}
