// Shows which step of how many runs and for how long, on the standard error: one line that renews itself on a terminal; otherwise a line when
// a step ends, and now and then one while it lasts. It holds no state beyond what it shows.

/** How often the elapsed time is shown anew, in milliseconds: on a terminal, and in a log. */
const renewMs = { terminal: 1000, log: 30_000 } as const;
const defaultColumns = 80;

export class Progress {
  readonly #total: number;
  #begun = 0;

  constructor(total: number) {
    this.#total = total;
  }

  /** Runs one step; `say` shows what it is busy with. Steps may overlap in a log, not on a terminal. */
  async step<T>(title: string, work: (say: (line: string) => void) => Promise<T>): Promise<T> {
    const terminal = process.stderr.isTTY;
    const started = performance.now();
    this.#begun += 1;
    const heading = `[${String(this.#begun)}/${String(this.#total)}] ${title}`;
    let latest = '';
    const elapsed = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
    const renew = () => {
      const line = `${heading} (${elapsed()}) ${latest}`;
      process.stderr.write(terminal ? `\r\x1b[K${line.slice(0, (process.stderr.columns || defaultColumns) - 1)}` : `${line}\n`);
    };
    const timer = setInterval(renew, terminal ? renewMs.terminal : renewMs.log);
    if (terminal) renew();
    let outcome = 'failed after';
    try {
      const result = await work((line) => {
        latest = line;
      });
      outcome = 'done in';
      return result;
    } finally {
      clearInterval(timer);
      process.stderr.write(`${terminal ? '\r\x1b[K' : ''}${heading}: ${outcome} ${elapsed()}\n`);
    }
  }
}
