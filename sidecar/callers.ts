// Those who wait for an answer of the core, by the number under which they asked. Their count is bounded by the queues of the core.
export class Callers<Result> {
  readonly #waiting = new Map<number, (result: Result) => void>();
  #lastId = 0;

  /** Asks under a fresh number and resolves with its answer. */
  wait(ask: (id: number) => void): Promise<Result> {
    return new Promise((resolve) => {
      const id = (this.#lastId += 1);
      this.#waiting.set(id, resolve);
      ask(id);
    });
  }

  answer(id: number, result: Result): void {
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
  }

  answerAll(result: Result): void {
    for (const id of [...this.#waiting.keys()]) this.answer(id, result);
  }
}
