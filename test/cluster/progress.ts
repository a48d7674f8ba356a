// Shows which step of how many runs and for how long, on the standard error: one line that renews itself on a terminal, otherwise one line
// when a step begins and one when it ends. It holds no state beyond what it shows.

/** How often the elapsed time is renewed on a terminal, in milliseconds. */
const renewMs = 1000;

export class Progress {
  readonly #total: number;
  #done = 0;

  constructor(total: number) {
    this.#total = total;
  }

  /** Runs one step; `say` shows what it is busy with. */
  async step<T>(title: string, work: (say: (line: string) => void) => Promise<T>): Promise<T> {
    const started = performance.now();
    const heading = `[${String(this.#done + 1)}/${String(this.#total)}] ${title}`;
    let latest = '';
    const elapsed = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
    const renew = () =>
      process.stderr.write(`\r\x1b[K${`${heading} (${elapsed()}) ${latest}`.slice(0, (process.stderr.columns || 80) - 1)}`);
    const timer = process.stderr.isTTY ? setInterval(renew, renewMs) : undefined;
    if (timer !== undefined) renew();
    try {
      const result = await work((line) => {
        latest = line;
      });
      process.stderr.write(`${timer === undefined ? '' : '\r\x1b[K'}${heading}: ${elapsed()}\n`);
      this.#done += 1;
      return result;
    } catch (error) {
      process.stderr.write(`${timer === undefined ? '' : '\r\x1b[K'}${heading}: failed after ${elapsed()}\n`);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }
}
