// Lets simulated parts serve a test that waits by real time.
import type { Scheduler } from './scheduler.ts';

/** Simulated milliseconds in a turn of the event loop. */
const turnMs = 20;

/** Time goes on until the function that it returns is called, which resolves when the last event has happened. */
export function runBeside(scheduler: Scheduler): () => Promise<void> {
  let isOver = false;
  const run = async (): Promise<void> => {
    while (!isOver) {
      const endMs = scheduler.nowMs + turnMs;
      scheduler.later(turnMs, 'turn', () => undefined);
      await scheduler.run(() => scheduler.nowMs >= endMs);
      await new Promise(setImmediate);
    }
  };
  const ended = run();
  return () => {
    isOver = true;
    return ended;
  };
}
