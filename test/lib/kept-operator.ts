// The operator as its Deployment keeps it: one replica, started again whenever it ends because it lost its Lease. A failure of it is kept for `stop`.
import type { Operator } from '../../operator/controller/operator.ts';
import type { ApiServer } from './api-server.ts';
import { runOperator } from './operator-under-test.ts';

export class KeptOperator {
  #operator: Operator;
  #stopping = false;
  readonly #work: Promise<void>;

  private constructor(server: ApiServer, operator: Operator) {
    this.#operator = operator;
    this.#work = this.#keep(server);
    this.#work.catch(() => undefined);
  }

  static async start(server: ApiServer): Promise<KeptOperator> {
    return new KeptOperator(server, await runOperator(server));
  }

  /** Rejects with what ended it, if it was not told to. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#operator.stop().catch(() => undefined);
    await this.#work;
  }

  async #keep(server: ApiServer): Promise<void> {
    while ((await this.#operator.ended) === 'lost' && !this.#stopping) this.#operator = await runOperator(server);
  }
}
