// Waits for a condition instead of for a time.
import { setTimeout as pause } from 'node:timers/promises';

const pollMs = 5;

/** Resolves when `check` no longer throws; rejects with what it threw last when that takes longer than `withinMs`. */
export async function eventually(check: () => void | Promise<void>, withinMs = 3000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(pollMs);
  }
}
