// The clock and the randomness of the machine.
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Clock } from './ports.ts';

const nonceBytes = 8;
/** The core gets a nonce with each input: to ask the generator for each would take as long as most inputs do. */
const pool = Buffer.alloc(512 * nonceBytes);
let used = pool.length;

function nonce(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += nonceBytes;
  return pool.toString('hex', used - nonceBytes, used);
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  nonce,
};
