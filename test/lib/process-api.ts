// The real Process API server on a free port of loopback, over a FakeProcess, and a client that sends what it is told without tidying it up.
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import type { Authorise } from '../../sidecar/http/access.ts';
import type { Bounds } from '../../sidecar/http/bounds.ts';
import { createServer, type Server } from '../../sidecar/http/server.ts';
import { FakeProcess } from './fake-process.ts';

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
  /** 127.0.0.2 is this machine but not the pod: the server trusts 127.0.0.1 and ::1 alone. */
  readonly localAddress?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** `undefined` when the body is not JSON. */
  readonly json: unknown;
}

function parseOrNothing(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

export class ProcessApi {
  readonly process = new FakeProcess();
  readonly asked: [string, string][] = [];
  decision: Awaited<ReturnType<Authorise>> = 'allowed';
  /** Lines of the log. */
  readonly logged: string[] = [];
  readonly server: Server;
  port = 0;

  constructor(bounds: Partial<Bounds> = {}) {
    this.server = createServer({
      process: this.process,
      authorise: async (token, verb) => {
        this.asked.push([token, verb]);
        return this.decision;
      },
      logger: pino({ level: 'info' }, { write: (line: string) => this.logged.push(line) }),
      port: 0,
      host: '127.0.0.1',
      bounds,
    });
  }

  static async start(bounds?: Partial<Bounds>): Promise<ProcessApi> {
    const api = new ProcessApi(bounds);
    api.port = await api.server.listen();
    return api;
  }

  close(): Promise<void> {
    return this.server.close();
  }

  /** Resolves with the head of the answer; the body is the caller's to read. */
  open(path: string, { method = 'GET', headers = {}, body, localAddress = '127.0.0.1' }: CallOptions = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: this.port, path, method, headers, localAddress, agent: false }, resolve);
      call.on('error', reject);
      call.end(body);
    });
  }

  async call(path: string, options?: CallOptions): Promise<Answered> {
    const answer = await this.open(path, options);
    const body = await text(answer);
    return { status: answer.statusCode ?? 0, headers: answer.headers, text: body, json: parseOrNothing(body) };
  }

  /** Sends the value as JSON. */
  send(method: string, path: string, value: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    return this.call(path, { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) });
  }
}

export const put = (key: string, value: unknown) => ({ put: { key, value } });
