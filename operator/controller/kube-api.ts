// Plain JSON requests to the Kubernetes API server. The generated client would drop fields that its models do not know (a pod's schedulingGroup),
// turn times into Dates in some answers and not in others, and open a connection for each request.
// A request that cannot be answered now throws AppError api_unavailable; a refusal is an outcome, with the API server's own words.
import { HttpMethod, IsomorphicFetchHttpLibrary, RequestContext, type KubeConfig, type ResponseContext } from '@kubernetes/client-node';
import { AppError } from '../../common/errors.ts';
import type { Requests } from './metrics.ts';

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown }
  /** 4xx: a repetition does not help by itself. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string };

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

export const applyPatch = 'application/apply-patch+yaml';
export const mergePatch = 'application/merge-patch+json';

const requestTimeoutMs = 15_000;
const tooManyRequests = 429;

export class KubeApi {
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #requests: Requests;
  readonly #http = new IsomorphicFetchHttpLibrary();
  /** One for all requests: each holds its own pool of connections. */
  #dispatcher: ReturnType<RequestContext['getDispatcher']>;

  constructor(config: KubeConfig, requests: Requests) {
    const server = config.getCurrentCluster()?.server;
    if (server === undefined) throw new AppError('invalid_configuration', 'The kubeconfig names no current cluster.');
    this.#config = config;
    this.#server = server;
    this.#requests = requests;
  }

  async send(method: keyof typeof HttpMethod, path: string, options: RequestOptions = {}): Promise<Answer> {
    const response = await this.#fetch(method, path, options, AbortSignal.timeout(requestTimeoutMs));
    const text = await response.body.text().catch((error: unknown) => {
      throw unavailable(method, path, error);
    });
    const status = response.httpStatusCode;
    if (status >= 200 && status < 300) return { kind: 'ok', body: text === '' ? null : parse(text) };
    const message = messageOf(text, status);
    if (status >= 500 || status === tooManyRequests) throw new AppError('api_unavailable', `${method} ${path}: ${message}`);
    return { kind: 'refused', status, message };
  }

  /** The lines of a watch, until the server or `signal` ends it. */
  async *lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const response = await this.#fetch('GET', path, { query }, signal);
    if (response.httpStatusCode !== 200) {
      const message = messageOf(await response.body.text(), response.httpStatusCode);
      throw new AppError('api_unavailable', `watch of ${path}: ${message}`);
    }
    const stream = response.body.stream();
    if (stream === null) return;
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of stream) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) if (line !== '') yield parse(line);
      }
    } catch (error) {
      throw unavailable('watch of', path, error);
    }
  }

  async #fetch(method: keyof typeof HttpMethod, path: string, options: RequestOptions, signal: AbortSignal): Promise<ResponseContext> {
    const url = new URL(this.#server + path);
    for (const [key, value] of Object.entries(options.query ?? {})) url.searchParams.set(key, value);
    const context = new RequestContext(url.toString(), HttpMethod[method]);
    context.setSignal(signal);
    context.setHeaderParam('accept', 'application/json');
    if (options.body !== undefined) {
      context.setHeaderParam('content-type', options.contentType ?? 'application/json');
      context.setBody(JSON.stringify(options.body));
    }
    try {
      await this.#config.applySecurityAuthentication(context);
      this.#dispatcher ??= context.getDispatcher();
      if (this.#dispatcher !== undefined) context.setDispatcher(this.#dispatcher);
      const response = await this.#http.send(context).toPromise();
      this.#requests.count(method, response.httpStatusCode);
      return response;
    } catch (error) {
      throw unavailable(method, path, error);
    }
  }
}

const unavailable = (method: string, path: string, cause: unknown): AppError =>
  new AppError('api_unavailable', `${method} ${path} was not answered.`, cause);

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new AppError('api_unavailable', 'The answer of the Kubernetes API is not JSON.', error);
  }
}

/** What a Status object says; anything else in short. */
function messageOf(text: string, status: number): string {
  const body = text.startsWith('{') ? parse(text) : null;
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  return typeof message === 'string' && message !== '' ? message : `HTTP status ${String(status)}`;
}
