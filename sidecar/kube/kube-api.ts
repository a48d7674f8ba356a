// The few requests that a sidecar makes of the Kubernetes API server, on node:https with one kept-alive agent.
// The generated client library costs 60 MiB of resident memory in every pod; five plain requests do not need it.
// A request that cannot be answered now throws AppError api_unavailable; a refusal is an outcome.
import { readFileSync } from 'node:fs';
import { Agent, request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { AppError } from '../../common/errors.ts';

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';
const requestTimeoutMs = 3000;
const maxAnswerBytes = 4 * 1024 * 1024;
const maxSockets = 4;

export interface KubeEndpoint {
  readonly server: string;
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Read for each request: the kubelet rotates the token. */
  readonly token?: () => string;
}

export function podEndpoint(environment: Readonly<Record<string, string | undefined>>): KubeEndpoint {
  const host = environment.KUBERNETES_SERVICE_HOST;
  const port = environment.KUBERNETES_SERVICE_PORT;
  if (host === undefined || port === undefined)
    throw new AppError('invalid_configuration', 'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(`${serviceAccount}/ca.crt`),
    token: () => readFileSync(`${serviceAccount}/token`, 'utf8').trim(),
  };
}

export type Answer = { readonly kind: 'ok'; readonly body: unknown } | { readonly kind: 'refused'; readonly status: number };

export interface Call {
  readonly method: 'GET' | 'PUT' | 'PATCH' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Instead of the own credentials. */
  readonly token?: string;
}

export class KubeApi {
  readonly #endpoint: KubeEndpoint;
  readonly #agent: Agent;
  /** Without the own client certificate: for requests with somebody else's token. */
  readonly #anonymousAgent: Agent;

  constructor(endpoint: KubeEndpoint) {
    this.#endpoint = endpoint;
    const { ca, cert, key } = endpoint;
    this.#anonymousAgent = new Agent({ keepAlive: true, maxSockets, ca });
    this.#agent =
      cert === undefined || key === undefined ? this.#anonymousAgent : new Agent({ keepAlive: true, maxSockets, ca, cert, key });
  }

  async send(call: Call): Promise<Answer> {
    const response = await this.#open(call, { signal: AbortSignal.timeout(requestTimeoutMs) });
    const status = response.statusCode ?? 0;
    try {
      const text = await readAll(response);
      if (status >= 200 && status < 300) return { kind: 'ok', body: JSON.parse(text) as unknown };
    } catch (error) {
      throw unavailable(call, error);
    }
    if (status >= 500 || status === 429) throw new AppError('api_unavailable', `${call.method} ${call.path}: status ${String(status)}`);
    return { kind: 'refused', status };
  }

  /** The objects of a watch, until the server or `signal` ends it. */
  async *watch(path: string, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const call: Call = { method: 'GET', path };
    const response = await this.#open(call, {
      signal,
      agent: false,
      ca: this.#endpoint.ca,
      cert: this.#endpoint.cert,
      key: this.#endpoint.key,
    });
    if (response.statusCode !== 200) {
      response.destroy();
      throw new AppError('api_unavailable', `watch of ${path}: status ${String(response.statusCode)}`);
    }
    let rest = '';
    try {
      for await (const chunk of response.setEncoding('utf8')) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > maxAnswerBytes) throw new AppError('api_unavailable', `watch of ${path}: a line is too long`);
        for (const line of lines) if (line !== '') yield JSON.parse(line) as unknown;
      }
    } catch (error) {
      throw unavailable(call, error);
    }
  }

  #token(call: Call): string | undefined {
    try {
      return this.#endpoint.token?.();
    } catch (error) {
      throw unavailable(call, error);
    }
  }

  #open(call: Call, options: RequestOptions): Promise<IncomingMessage> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    return new Promise((resolve, reject) => {
      const token = call.token ?? this.#token(call);
      const sent = request(
        this.#endpoint.server + call.path,
        {
          agent: call.token === undefined ? this.#agent : this.#anonymousAgent,
          ...options,
          method: call.method,
          headers: {
            accept: 'application/json',
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined
              ? {}
              : { 'content-type': call.contentType ?? 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        },
        resolve,
      );
      sent.on('error', (error) => {
        reject(unavailable(call, error));
      });
      sent.end(body);
    });
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > maxAnswerBytes) throw new RangeError('the answer is too long');
  }
  return text;
}

const unavailable = (call: Call, error: unknown): AppError =>
  error instanceof AppError ? error : new AppError('api_unavailable', `${call.method} ${call.path}: the API server did not answer`, error);
