// What one simulated process sees of core NATS: the port Peers. A message reaches the process that runs when it arrives, which may be another
// than the one that it was meant for. Requests time out, and answers are lost like everything else.
import { AppError } from '../../common/errors.ts';
import type { Peers } from '../../sidecar/ports.ts';
import type { Life } from './scheduler.ts';
import type { SimulatedHost, World } from './world.ts';

export class SimulatedPeers implements Peers {
  readonly #world: World;
  readonly #host: SimulatedHost;
  readonly #life: Life;
  onMessageHandler: (payload: Uint8Array) => void = () => undefined;
  onRequestHandler: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null;

  constructor(world: World, host: SimulatedHost, life: Life) {
    this.#world = world;
    this.#host = host;
    this.#life = life;
  }

  send(to: string, payload: Uint8Array): void {
    if (this.#life.dead) return;
    for (const host of this.#world.hosts) {
      if (host === this.#host || (to !== '*' && to !== host.pod)) continue;
      this.#world.network.deliver(this.#host, host, 'message', () => host.process?.peers.onMessageHandler(payload));
    }
  }

  onMessage(handler: (payload: Uint8Array) => void): void {
    this.onMessageHandler = handler;
  }

  request(to: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#life.dead) return new Promise(() => undefined);
    const { scheduler, network, hosts } = this.#world;
    const target = hosts.find(({ pod }) => pod === to);
    const where = { machine: this.#host, life: this.#life };
    return new Promise((resolve, reject) => {
      const refuse = (): void => {
        scheduler.after(network.delayMs(), 'refusal', where, () => {
          reject(new AppError('no_leader', `${to} did not take it.`));
        });
      };
      if (target === undefined || !network.isConnected(this.#host) || !network.isConnected(target)) {
        refuse();
        return;
      }
      const cancel = scheduler.after(timeoutMs * this.#host.rate, 'requestTimeout', where, () => {
        reject(new AppError('outcome_unknown', `${to} did not answer.`));
      });
      network.deliver(this.#host, target, 'request', () => {
        const handler = target.process?.peers.onRequestHandler ?? null;
        if (handler === null) {
          cancel();
          refuse();
          return;
        }
        const answer = (result: Uint8Array): void => {
          network.deliver(target, this.#host, 'answer', () => {
            if (this.#life.dead) return;
            cancel();
            resolve(result);
          });
        };
        // An answer that failed is none: whoever asks must not take it for undone.
        handler(payload).then(answer, () => undefined);
      });
    });
  }

  onRequest(handler: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.onRequestHandler = handler;
  }
}
