// Core NATS between the simulated pods: at most once, in no order, and as late as was drawn. Cuts may be one-way.
// A message reaches the process that runs when it arrives, which may be another than the one that it was meant for.
import { AppError } from '../../common/errors.ts';
import type { Peers } from '../../sidecar/ports.ts';
import type { Host } from './host.ts';
import type { Life } from './scheduler.ts';
import type { World } from './world.ts';

export class Network {
  /** Nobody reaches the servers. */
  away = false;
  readonly #world: World;
  readonly #cuts = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Messages from one pod to the other are lost. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  mendAll(): void {
    this.#cuts.clear();
  }

  reaches(from: Host, to: Host): boolean {
    return this.isConnected(from) && this.isConnected(to) && !this.#cuts.has(`${from.pod}>${to.pod}`);
  }

  isConnected(host: Host): boolean {
    return host.natsReachable && !this.away;
  }

  /** How long something is on its way. */
  delayMs(): number {
    const { chance, swarm } = this.#world;
    const { minMs, maxMs, slowRate, slowMs } = swarm.network;
    return chance.happens(slowRate) ? chance.between(maxMs, slowMs) : chance.between(minMs, maxMs);
  }

  /** One way of a message: `null` when it is lost. */
  travel(lossRate: number): number | null {
    return this.#world.chance.happens(lossRate) ? null : this.delayMs();
  }

  deliver(from: Host, to: Host, kind: string, arrive: () => void): void {
    const { chance, scheduler, swarm } = this.#world;
    const copies = chance.happens(swarm.network.doubleRate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayMs = this.travel(swarm.network.lossRate);
      if (delayMs === null || !this.reaches(from, to)) continue;
      scheduler.after(delayMs, kind, { machine: to }, () => {
        if (this.reaches(from, to)) arrive();
      });
    }
  }
}

export class SimulatedPeers implements Peers {
  readonly #world: World;
  readonly #host: Host;
  readonly #life: Life;
  onMessageHandler: (payload: Uint8Array) => void = () => undefined;
  onRequestHandler: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null;

  constructor(world: World, host: Host, life: Life) {
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
