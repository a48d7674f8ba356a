// How often what befalls each request to the stream and each delivery of it, as drawn for one run. Most kinds are off in most runs.
// It only says how often; test/lib/sim-faults.ts says what each one is.
import type { SimFault, SimRates } from '../lib/sim-faults.ts';
import type { Chance } from './chance.ts';

/** The highest chance of each fault. Those of deliveries cost a reader a second or more each. */
const maxRates: Readonly<Record<SimFault, number>> = {
  requestLost: 0.05,
  requestDelayed: 0.02,
  requestDuplicated: 0.05,
  answerLost: 0.1,
  answerDelayed: 0.02,
  answerDuplicated: 0.05,
  refused: 0.05,
  underWay: 0.02,
  dropped: 0.05,
  stale: 0.1,
  deliveryLost: 0.02,
  deliveryDuplicated: 0.02,
  stalled: 0.01,
  forgotten: 0.01,
};
const faultShare = 0.4;

export interface StreamWeather {
  readonly replicas: 1 | 3;
  readonly rates: SimRates;
}

export function drawStreamWeather(chance: Chance): StreamWeather {
  const rates = Object.entries(maxRates).map(([fault, max]) => [fault, chance.happens(faultShare) ? chance.between(0, max) : 0] as const);
  return { replicas: chance.pick([1, 3]), rates: Object.fromEntries(rates) };
}
