// Waits that an AbortSignal ends early; none of them rejects.
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsLink } from './connection.ts';

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** Until the link is connected. */
export async function untilConnected(link: NatsLink, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    const unsubscribe = link.onState(({ kind }) => {
      if (kind === 'connected') done();
    });
    signal.addEventListener('abort', unsubscribe, { once: true });
  });
}
