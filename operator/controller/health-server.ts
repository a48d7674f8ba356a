// /livez, /readyz and /metrics of the operator. A passive replica is ready: it does its job, which is to wait.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

const requestTimeoutMs = 5_000;

export class HealthServer {
  readonly #server: Server;
  ready = false;

  constructor(metrics: Metrics) {
    this.#server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs }, (request, response) => {
      const answer = (status: number, text: string, type = 'text/plain'): void => {
        response.writeHead(status, { 'content-type': type }).end(text);
      };
      switch (request.url ?? '') {
        case '/livez':
          answer(200, 'ok\n');
          break;
        case '/readyz':
          answer(this.ready ? 200 : 503, this.ready ? 'ok\n' : 'starting or stopping\n');
          break;
        case '/metrics':
          metrics.registry.metrics().then(
            (text) => {
              answer(200, text, metrics.registry.contentType);
            },
            (error: unknown) => {
              answer(500, String(error));
            },
          );
          break;
        default:
          answer(404, 'not found\n');
      }
    });
  }

  /** Resolves with the port that it listens on; 0 asks for a free one. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, () => {
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.ready = false;
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}
