// Core NATS between the simulated pods: at most once, in no order, and as late as was drawn. Cuts may be one-way.
// It knows machines, not what runs on them.
import type { Chance } from './chance.ts';
import type { Machine, Scheduler } from './scheduler.ts';
import type { Swarm } from './swarm.ts';

export interface Station extends Machine {
  readonly pod: string;
  readonly natsReachable: boolean;
}

export interface NetworkParts {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly swarm: Swarm;
}

const faultlessLossRate = 0.02;

export class Network {
  /** Nobody reaches the servers. */
  away = false;
  readonly #parts: NetworkParts;
  readonly #cuts = new Set<string>();
  #lossRate: number;

  constructor(parts: NetworkParts) {
    this.#parts = parts;
    this.#lossRate = parts.swarm.network.lossRate;
  }

  /** Messages from one pod to the other are lost. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  /** No cut is left, and no more is lost than a network without faults loses: a retry each few seconds must lead somewhere within a run. */
  mendAll(): void {
    this.#cuts.clear();
    this.#lossRate = Math.min(this.#lossRate, faultlessLossRate);
  }

  reaches(from: Station, to: Station): boolean {
    return this.isConnected(from) && this.isConnected(to) && (this.#cuts.size === 0 || !this.#cuts.has(`${from.pod}>${to.pod}`));
  }

  isConnected(host: Station): boolean {
    return host.natsReachable && !this.away;
  }

  /** How long something is on its way. */
  delayMs(): number {
    const { chance, swarm } = this.#parts;
    const { minMs, maxMs, slowRate, slowMs } = swarm.network;
    return chance.happens(slowRate) ? chance.between(maxMs, slowMs) : chance.between(minMs, maxMs);
  }

  /** One way of a message: `null` when it is lost. */
  travel(lossRate: number): number | null {
    return this.#parts.chance.happens(lossRate) ? null : this.delayMs();
  }

  /** A message may come twice, as one that its sender repeats does. A request or an answer comes once at most, which is what a refusal of one rests on. */
  deliver(from: Station, to: Station, kind: 'message' | 'request' | 'answer', arrive: () => void): void {
    const { chance, scheduler, swarm } = this.#parts;
    const copies = kind === 'message' && chance.happens(swarm.network.doubleRate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayMs = this.travel(this.#lossRate);
      if (delayMs === null || !this.reaches(from, to)) continue;
      scheduler.after(delayMs, kind, { machine: to }, () => {
        if (this.reaches(from, to)) arrive();
      });
    }
  }
}
