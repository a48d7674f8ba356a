// What can go wrong between a client and the simulated JetStream: at random at given rates, or as a test has asked for the next request.
import type { Clock } from '../../sidecar/ports.ts';

export type SimFault =
  /** Never arrives. */
  | 'requestLost'
  /** Is carried out much later, perhaps after the connection was lost and the caller gave up. */
  | 'requestDelayed'
  | 'requestDuplicated'
  /** It was carried out all the same. */
  | 'answerLost'
  | 'answerDelayed'
  | 'answerDuplicated'
  /** Not carried out, and said so: no leader. */
  | 'refused'
  /** Stored on the leader and long under way to the other nodes; what comes meanwhile is refused. */
  | 'underWay'
  /** Was under way when the leader changed: it is gone and nobody says so. */
  | 'dropped'
  /** A read is answered by a server that led before, and lacks the last messages. */
  | 'stale'
  /** Of a consumer: one message is not delivered, or twice; from now on nothing more comes of it; the server has forgotten it. */
  | 'deliveryLost'
  | 'deliveryDuplicated'
  | 'stalled'
  | 'forgotten';

/** A message to be stored, a call, and one delivery of a consumer. */
export type SimWay = 'send' | 'call' | 'delivery';

export interface SimWeather {
  readonly clock: Pick<Clock, 'nowMs' | 'after'>;
  /** In [0, 1). */
  readonly random: () => number;
  /** Chance of each fault for each message on its way; those that are not named never happen by themselves. */
  readonly rates?: Partial<Record<SimFault, number>>;
  /** Each way takes up to so long. */
  readonly latencyMs?: number;
  /** What is delayed comes up to so much later. */
  readonly delayMs?: number;
}

export type Fate = ReadonlySet<SimFault>;

export class SimFaults {
  rates: Partial<Record<SimFault, number>>;
  readonly #weather: SimWeather;
  readonly #scripted: Readonly<Record<SimWay, SimFault[][]>> = { send: [], call: [], delivery: [] };

  constructor(weather: SimWeather) {
    this.#weather = weather;
    this.rates = weather.rates ?? {};
  }

  /** For the next of its kind that nothing was asked for yet; without a fault it passes whatever the rates are. */
  script(way: SimWay, ...faults: readonly SimFault[]): void {
    this.#scripted[way].push([...faults]);
  }

  draw(way: SimWay): Fate {
    const scripted = this.#scripted[way].shift();
    if (scripted !== undefined) return new Set(scripted);
    const fate = new Set<SimFault>();
    for (const [fault, rate] of Object.entries(this.rates)) if (this.#weather.random() < rate) fate.add(fault as SimFault);
    return fate;
  }

  latencyMs(): number {
    return this.#weather.random() * (this.#weather.latencyMs ?? 2);
  }

  delayMs(): number {
    return this.#weather.random() * (this.#weather.delayMs ?? 20_000);
  }
}
