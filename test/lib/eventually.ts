// Waits for a condition instead of for a time.
import { setTimeout as pause } from 'node:timers/promises';

const pollMs = 5;
/** A condition that costs a program's run each time it is looked at. */
const slowPollMs = 250;

/** Resolves when `check` no longer throws; rejects with what it threw last when that takes longer than `withinMs`. */
export async function eventually(check: () => void | Promise<void>, withinMs = 3000, everyMs = pollMs): Promise<void> {
  return poll(check, withinMs, everyMs);
}

/** The same, for conditions that are looked at through kubectl. */
export async function eventuallySeen(check: () => Promise<void>, withinMs: number): Promise<void> {
  return poll(check, withinMs, slowPollMs);
}

async function poll(check: () => void | Promise<void>, withinMs: number, everyMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(everyMs);
  }
}
