// An exchange that writes on and on ends with its connection, when the server closes, and after `streamLifetimeMs`, so that access that was taken away ends too.
import type { Writable } from 'node:stream';
import type { Bounds } from './bounds.ts';

/** `exchanges`: the ends of all that are under way. `end` is called once at least if the exchange goes on for too long. */
export function limitLifetime(sink: Writable, exchanges: Set<() => void>, { streamLifetimeMs }: Bounds, end: () => void): void {
  exchanges.add(end);
  const lifetime = setTimeout(end, streamLifetimeMs);
  sink.once('close', () => {
    clearTimeout(lifetime);
    exchanges.delete(end);
  });
}
