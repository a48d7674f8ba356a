// One piece of work after the other, in the order in which they were asked for. A piece that fails does not stop the next.
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when all work that was asked for so far is done or has failed. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
