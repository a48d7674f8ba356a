// What can go wrong between a client and the simulated JetStream: at random at given rates, or as a test has asked for the next request.
// It only says what; the server and its clients carry it out.
import type { Clock } from '../../sidecar/ports.ts';

/** Of each request: a message to be stored, or a call. */
const requestFaults = [
  /** Never arrives. */
  'requestLost',
  /** Is carried out much later, perhaps after the connection was lost and the caller gave up. */
  'requestDelayed',
  'requestDuplicated',
  /** It was carried out all the same. */
  'answerLost',
  'answerDelayed',
  'answerDuplicated',
  /** Not carried out, and said so: no leader. */
  'refused',
] as const;
const faultsOf = {
  send: [
    ...requestFaults,
    /** Taken by the leader and long under way to the other nodes; what comes meanwhile is refused. */
    'underWay',
    /** Was under way when the leader changed: it is gone and nobody says so. */
    'dropped',
  ],
  /** A stale read is answered by a server that led before, and lacks the last messages. */
  call: [...requestFaults, 'stale'],
  /** One message is not delivered, or twice; from now on nothing more comes of the consumer; the server has forgotten it. */
  delivery: ['deliveryLost', 'deliveryDuplicated', 'stalled', 'forgotten'],
} as const;
/** A message to be stored, a call, and one delivery of a consumer. */
export type SimWay = keyof typeof faultsOf;
export type SimFault = (typeof faultsOf)[SimWay][number];
export const simFaults: readonly SimFault[] = [...new Set(Object.values(faultsOf).flat())];

/** Faults that are not named never happen by themselves. */
export type SimRates = Partial<Readonly<Record<SimFault, number>>>;

export interface SimWeather {
  readonly clock: Pick<Clock, 'nowMs' | 'after'>;
  /** In [0, 1). */
  readonly random: () => number;
  /** Chance of each fault for each message on its way. */
  readonly rates?: SimRates;
  /** Each way takes up to so long, or what is drawn for it. */
  readonly latencyMs?: number | (() => number);
  /** What is delayed comes up to so much later. */
  readonly delayMs?: number;
}

export type Fate = ReadonlySet<SimFault>;

export class SimFaults {
  rates: SimRates;
  /** How often each happened. */
  readonly injected = new Map<SimFault, number>();
  readonly #weather: SimWeather;
  readonly #scripted: Readonly<Record<SimWay, Fate[]>> = { send: [], call: [], delivery: [] };

  constructor(weather: SimWeather) {
    this.#weather = weather;
    this.rates = weather.rates ?? {};
  }

  /** For the next of its kind that nothing was asked for yet; without a fault it passes whatever the rates are. */
  script(way: SimWay, ...faults: readonly SimFault[]): void {
    this.#scripted[way].push(new Set(faults));
  }

  draw(way: SimWay): Fate {
    const fate = this.#scripted[way].shift() ?? new Set(faultsOf[way].filter((fault) => this.happens(this.rates[fault] ?? 0)));
    for (const fault of fate) this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
    return fate;
  }

  happens(probability: number): boolean {
    return probability > 0 && this.#weather.random() < probability;
  }

  latencyMs(): number {
    const { latencyMs = 2 } = this.#weather;
    return typeof latencyMs === 'number' ? this.#weather.random() * latencyMs : latencyMs();
  }

  delayMs(): number {
    return this.#weather.random() * (this.#weather.delayMs ?? 20_000);
  }
}
