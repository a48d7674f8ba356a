// Waits that an AbortSignal ends early; none of them rejects.
import { setTimeout as delay } from 'node:timers/promises';
import type { LinkState, NatsLink } from './connection.ts';

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** Until the link is in another state than this one. */
export async function untilChanged(link: NatsLink, from: LinkState, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    let unfollow = (): void => undefined;
    const done = (): void => {
      signal.removeEventListener('abort', done);
      unfollow();
      resolve();
    };
    unfollow = link.onState((state) => {
      if (state !== from) queueMicrotask(done);
    });
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
