// Waits that an AbortSignal ends early; none of them rejects. Time comes from the clock that is given.
import type { Clock } from '../ports.ts';
import type { JetStream, JetStreamState } from './jetstream-port.ts';

/** Until `begin` calls `done`, or `signal` aborts. What `begin` returns undoes what it began. */
export async function until(signal: AbortSignal, begin: (done: () => void) => () => void): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      undo();
      resolve();
    };
    const undo = begin(done);
    signal.addEventListener('abort', done);
  });
}

export const pause = (clock: Clock, ms: number, signal: AbortSignal): Promise<void> => until(signal, (done) => clock.after(ms, done));

/** Until JetStream is in another state than this one. */
export const untilChanged = (jetstream: JetStream, from: JetStreamState, signal: AbortSignal): Promise<void> =>
  until(signal, (done) =>
    jetstream.onState((state) => {
      // The first call is made before `onState` returns.
      if (state !== from) queueMicrotask(done);
    }),
  );

/** Runs with a controller of its own that aborts with `signal`, too. */
export async function within<T>(signal: AbortSignal, run: (controller: AbortController) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await run(controller);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
