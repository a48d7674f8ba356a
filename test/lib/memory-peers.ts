// Core NATS between pods in memory, with the contract of the real one: at most once, nothing is kept for those who are away, nobody hears
// its own broadcast. A pod that is cut off hears nothing and is not heard.
import { AppError } from '../../common/errors.ts';
import type { Peers } from '../../sidecar/ports.ts';
import { neededPayloadBytes } from '../../sidecar/stream/payload.ts';

const isTooLarge = (payload: Uint8Array): boolean => payload.length > neededPayloadBytes;

export class MemoryPeersServer {
  readonly #pods = new Map<string, MemoryPeers>();

  join(pod: string, peers: MemoryPeers): void {
    this.#pods.set(pod, peers);
  }

  leave(pod: string): void {
    this.#pods.delete(pod);
  }

  find(pod: string): MemoryPeers | undefined {
    return this.#pods.get(pod);
  }

  others(pod: string): MemoryPeers[] {
    return [...this.#pods].filter(([name]) => name !== pod).map(([, peers]) => peers);
  }
}

export class MemoryPeers implements Peers {
  readonly #server: MemoryPeersServer;
  readonly #pod: string;
  #cut = false;
  #onMessage: (payload: Uint8Array) => void = () => undefined;
  #onRequest: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null;

  constructor(server: MemoryPeersServer, pod: string) {
    this.#server = server;
    this.#pod = pod;
    server.join(pod, this);
  }

  close(): void {
    this.#server.leave(this.#pod);
  }

  cut(): void {
    this.#cut = true;
  }

  heal(): void {
    this.#cut = false;
  }

  send(to: string, payload: Uint8Array): void {
    if (this.#cut || isTooLarge(payload)) return;
    const receivers =
      to === '*' ? this.#server.others(this.#pod) : this.#server.others(this.#pod).filter((peers) => peers === this.#server.find(to));
    for (const peers of receivers) peers.#receive(payload.slice());
  }

  onMessage(handler: (payload: Uint8Array) => void): void {
    this.#onMessage = handler;
  }

  async request(to: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const peers = this.#server.find(to);
    const answer = peers === undefined ? null : peers.#onRequest;
    if (this.#cut || peers === undefined || answer === null) throw new AppError('no_leader', `${to} did not take it (503).`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new AppError('outcome_unknown', `${to} did not answer (TIMEOUT).`));
      }, timeoutMs);
    });
    try {
      const answered = peers.#cut || isTooLarge(payload) ? late : answer(payload.slice()).catch(() => late);
      return await Promise.race([answered.then((reply) => (isTooLarge(reply) ? late : reply)), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  onRequest(handler: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.#onRequest = handler;
  }

  #receive(payload: Uint8Array): void {
    setImmediate(() => {
      if (!this.#cut) this.#onMessage(payload);
    });
  }
}
