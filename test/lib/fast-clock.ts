// The system's clock, run faster: what waits for five seconds waits for a fraction of them, and all in the same order.
import { systemClock } from '../../sidecar/clock.ts';
import type { Clock } from '../../sidecar/ports.ts';

export const fastClock = (times: number): Clock => ({
  ...systemClock,
  nowMs: () => systemClock.nowMs() * times,
  after: (ms, run) => systemClock.after(ms / times, run),
});
