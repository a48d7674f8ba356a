// One request of a simulated process to the API server: it may come late, or never, and so may its answer.
import type { Where } from './scheduler.ts';
import type { SimulatedHost, World } from './world.ts';

const timeoutMs = 4000;
const lostAnswerRate = 0.01;

export type ApiWorld = Pick<World, 'scheduler' | 'api' | 'chance'>;
export type ApiHost = Pick<SimulatedHost, 'apiReachable' | 'rate'>;

/** `null` when no answer came in time: it may have been carried out, or may be later, even when the process has ended. */
export function request<Answer>(
  { scheduler, api, chance }: ApiWorld,
  host: ApiHost,
  where: Where,
  carryOut: () => Answer,
): Promise<Answer | null> {
  return new Promise((resolve) => {
    const giveUp = scheduler.after(timeoutMs * host.rate, 'apiTimeout', where, () => {
      resolve(null);
    });
    if (!api.isReachableFrom(host)) return;
    scheduler.later(api.delayMs(), 'apiRequest', () => {
      if (!api.isReachableFrom(host)) return;
      const answer = carryOut();
      if (chance.happens(lostAnswerRate)) return;
      scheduler.after(api.delayMs(), 'apiAnswer', where, () => {
        giveUp();
        resolve(answer);
      });
    });
  });
}
