// An API client that is cut off in the middle, as if its process had been killed there: the last write is sent, its answer is lost, and nothing follows.
import { AppError } from '../../common/errors.ts';
import type { Answer, KubeApi, Method, RequestOptions } from '../../operator/controller/kube-api.ts';

type Api = Pick<KubeApi, 'send' | 'lines'>;

export class CutApi implements Api {
  readonly #api: Api;
  readonly #lastWrite: number;
  readonly #cut = new AbortController();
  readonly #done = Promise.withResolvers<undefined>();
  /** How many writes were sent. */
  writes = 0;

  /** Without `lastWrite` it only counts. */
  constructor(api: Api, lastWrite = Number.POSITIVE_INFINITY) {
    this.#api = api;
    this.#lastWrite = lastWrite;
  }

  /** Resolves when the last write has been answered. */
  get done(): Promise<undefined> {
    return this.#done.promise;
  }

  async send(method: Method, path: string, options?: RequestOptions): Promise<Answer> {
    this.#cut.signal.throwIfAborted();
    if (method === 'GET') return this.#api.send(method, path, options);
    this.writes += 1;
    const isLast = this.writes === this.#lastWrite;
    if (isLast) this.#cut.abort(new AppError('api_unavailable', 'cut'));
    const answer = await this.#api.send(method, path, options);
    if (isLast) this.#done.resolve(undefined);
    this.#cut.signal.throwIfAborted();
    return answer;
  }

  lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<unknown, void> {
    this.#cut.signal.throwIfAborted();
    return this.#api.lines(path, query, AbortSignal.any([signal, this.#cut.signal]));
  }
}
