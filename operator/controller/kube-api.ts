// Plain JSON requests to the Kubernetes API server, on node:https. The generated client costs 90 MiB of resident memory, drops fields that its models do
// not know (a pod's schedulingGroup), and opens a connection for each request.
// A request that cannot be answered now throws AppError api_unavailable; any other error is an outcome, with the API server's own words.
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { AppError } from '../../common/errors.ts';
import type { KubeEndpoint } from './kube-endpoint.ts';
import type { Requests } from './metrics.ts';

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown }
  /** An error of this very request: a repetition alone seldom helps. 500 is among them: so a type error in an apply or a failing webhook is answered. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string };

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

export const applyPatch = 'application/apply-patch+yaml';
export const mergePatch = 'application/merge-patch+json';

const requestTimeoutMs = 15_000;
/** The API server, or what stands before it, has no time: nothing is said about the request itself. */
const unavailableStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Of requests; each watch has a connection of its own. */
const maxSockets = 8;
/** Of a line of a watch: the API server takes no object beyond 3 MiB. */
const maxLineLength = 8 * 1024 * 1024;

export class KubeApi {
  readonly #endpoint: KubeEndpoint;
  readonly #requests: Requests;
  readonly #agent: Agent;

  constructor(endpoint: KubeEndpoint, requests: Requests) {
    this.#endpoint = endpoint;
    this.#requests = requests;
    this.#agent = new Agent({ keepAlive: true, maxSockets, ...endpoint.tls });
  }

  async send(method: Method, path: string, options: RequestOptions = {}): Promise<Answer> {
    const response = await this.#open(method, path, options, AbortSignal.timeout(requestTimeoutMs), this.#agent);
    const text = await readAll(response, method, path);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return { kind: 'ok', body: text === '' ? null : parse(text) };
    const message = messageOf(text, status);
    if (unavailableStatuses.has(status)) throw new AppError('api_unavailable', `${method} ${path}: ${message}`);
    return { kind: 'refused', status, message };
  }

  /** The lines of a watch, until the server or `signal` ends it. */
  async *lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const response = await this.#open('GET', path, { query }, signal, new Agent(this.#endpoint.tls));
    const status = response.statusCode ?? 0;
    if (status !== 200)
      throw new AppError('api_unavailable', `watch of ${path}: ${messageOf(await readAll(response, 'GET', path), status)}`);
    let rest = '';
    try {
      for await (const chunk of response.setEncoding('utf8')) {
        const parts = (rest + String(chunk)).split('\n');
        rest = parts.pop() ?? '';
        if (rest.length > maxLineLength) throw new RangeError('a line is too long');
        for (const line of parts) if (line !== '') yield parse(line);
      }
    } catch (error) {
      throw unavailable('watch of', path, error);
    }
  }

  /** Ends the connections that are kept for further requests. */
  close(): void {
    this.#agent.destroy();
  }

  #open(method: Method, path: string, options: RequestOptions, signal: AbortSignal, agent: Agent): Promise<IncomingMessage> {
    const url = new URL(this.#endpoint.server + path);
    for (const [key, value] of Object.entries(options.query ?? {})) url.searchParams.set(key, value);
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const headers = {
      accept: 'application/json',
      'user-agent': 'controlcluster-operator',
      ...this.#endpoint.headers(),
      ...(body === undefined ? {} : { 'content-type': options.contentType ?? 'application/json', 'content-length': body.length }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, signal, agent }, (response) => {
        this.#requests.count(method, response.statusCode ?? 0);
        resolve(response);
      });
      sent.on('error', (error) => {
        reject(unavailable(method, path, error));
      });
      sent.end(body);
    });
  }
}

async function readAll(response: IncomingMessage, method: Method, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw unavailable(method, path, error);
  }
  return Buffer.concat(chunks).toString('utf8');
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
