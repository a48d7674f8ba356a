// What one simulated process sees of core NATS: the port Peers. A message reaches the process that runs when it arrives, which may be another
// than the one that it was meant for. Requests time out, and answers are lost like everything else.
import { AppError } from '../../common/errors.ts';
import type { Peers } from '../../sidecar/ports.ts';
import { neededPayloadBytes } from '../../sidecar/stream/payload.ts';
import type { Station } from './network.ts';
import type { Life } from './scheduler.ts';
import type { RunningSidecar, SimulatedHost, World } from './world.ts';

/** A machine as its peers know it. */
export interface PeersHost extends Station {
  readonly process: Pick<RunningSidecar, 'peers'> | null;
}
type PeersWorld = Pick<World, 'scheduler' | 'network' | 'chance'> & { readonly hosts: readonly PeersHost[] };
type OwnHost = Station & Pick<SimulatedHost, 'rate'>;

export class SimulatedPeers implements Peers {
  readonly #world: PeersWorld;
  readonly #host: OwnHost;
  readonly #life: Life;
  onMessageHandler: (payload: Uint8Array) => void = () => undefined;
  onRequestHandler: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null;

  constructor(world: PeersWorld, host: OwnHost, life: Life) {
    this.#world = world;
    this.#host = host;
    this.#life = life;
  }

  send(to: string, payload: Uint8Array): void {
    if (this.#life.dead) return;
    for (const host of this.#world.hosts) {
      if (host.pod === this.#host.pod || (to !== '*' && to !== host.pod)) continue;
      this.#deliver(this.#host, host, 'message', payload, () => host.process?.peers.onMessageHandler(payload));
    }
  }

  onMessage(handler: (payload: Uint8Array) => void): void {
    this.onMessageHandler = handler;
  }

  request(to: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#life.dead) return new Promise(() => undefined);
    const { scheduler, network, chance, hosts } = this.#world;
    const target = hosts.find(({ pod }) => pod === to);
    const where = { machine: this.#host, life: this.#life };
    return new Promise((resolve, reject) => {
      const refuse = (): void => {
        scheduler.after(network.delayMs(), 'refusal', where, () => {
          reject(new AppError('no_leader', `${to} did not take it.`));
        });
      };
      const isCut = target !== undefined && !(network.isConnected(this.#host) && network.isConnected(target));
      // A cut that has been noticed refuses at once; until then a request is lost like any other message.
      if (target === undefined || (isCut && chance.happens(0.5))) {
        refuse();
        return;
      }
      const cancel = scheduler.after(timeoutMs * this.#host.rate, 'requestTimeout', where, () => {
        reject(new AppError('outcome_unknown', `${to} did not answer.`));
      });
      this.#deliver(this.#host, target, 'request', payload, () => {
        const handler = target.process?.peers.onRequestHandler ?? null;
        if (handler === null) {
          cancel();
          refuse();
          return;
        }
        const answer = (result: Uint8Array): void => {
          this.#deliver(target, this.#host, 'answer', result, () => {
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

  #deliver(from: Station, to: Station, kind: 'message' | 'request' | 'answer', payload: Uint8Array, arrive: () => void): void {
    if (payload.length <= neededPayloadBytes) this.#world.network.deliver(from, to, kind, arrive);
  }
}
