// The NATS servers of a simulation: the stream of the log and that of the snapshots, with what was drawn for their weather.
// Both come and go together. What a process has of them is in stream-client.ts; what befalls them in stream-faults.ts.
import { SimJetStreamServer } from '../lib/sim-jetstream.ts';
import type { SimRates } from '../lib/sim-faults.ts';
import type { Chance } from './chance.ts';
import type { Network } from './network.ts';
import type { Scheduler } from './scheduler.ts';
import type { StreamWeather } from './stream-weather.ts';

/** What is delayed, or comes a second time, comes up to so much later. */
const delayMs = 10_000;

export interface StreamServersParts {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly weather: StreamWeather;
  /** A message stands in the log now. */
  readonly onStored: (seq: number, bytes: Uint8Array) => void;
}

export class StreamServers {
  readonly log: SimJetStreamServer;
  readonly snapshots: SimJetStreamServer;
  readonly #network: Network;
  readonly #rates: SimRates;

  constructor({ chance, scheduler, network, weather, onStored }: StreamServersParts) {
    this.#network = network;
    this.#rates = weather.rates;
    const options = {
      ...weather,
      clock: { nowMs: () => scheduler.nowMs, after: (ms: number, run: () => void) => scheduler.after(ms, 'nats', {}, run) },
      random: () => chance.unit(),
      latencyMs: () => network.delayMs(),
      delayMs,
    };
    this.log = new SimJetStreamServer({ ...options, onStored });
    this.snapshots = new SimJetStreamServer(options);
  }

  get #both(): readonly SimJetStreamServer[] {
    return [this.log, this.snapshots];
  }

  /** All servers, with every connection to them. */
  stop(): void {
    this.#network.away = true;
    for (const server of this.#both) server.stop();
  }

  start(): void {
    if (!this.#network.away) return;
    this.#network.away = false;
    for (const server of this.#both) server.start();
  }

  /** Without one every request is refused. */
  setLeader(has: boolean): void {
    for (const { faults } of this.#both) faults.rates = has ? this.#rates : { ...this.#rates, refused: 1 };
  }

  changeLeader(): void {
    for (const server of this.#both) server.changeLeader();
  }
}
