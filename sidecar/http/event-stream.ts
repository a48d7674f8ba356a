// One server-sent event stream (HTML standard, "Server-sent events"): bounded memory, heartbeats, a bounded life.
// A client that does not read is closed; it resumes with Last-Event-ID, so that nothing is lost by it.
import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Bounds } from './bounds.ts';
import { eventStreamType } from './route.ts';

const reconnectMs = 1000;

export interface EventStreamOptions {
  readonly reply: FastifyReply;
  /** Ends each stream that is open; their number is bounded. */
  readonly streams: Set<() => void>;
  /** What to send when nothing was sent for `heartbeatMs`. */
  readonly heartbeat: () => string;
  readonly bounds: Bounds;
  readonly logger: Logger;
}

export interface EventStream {
  /** Aborted when the stream ended, from either side. */
  readonly signal: AbortSignal;
  /** Resolves when there is room for more; with `false` when the stream has ended. */
  send(text: string): Promise<boolean>;
  end(): void;
}

/** The text of one event. `data` is JSON and so has no line break. */
export const renderEvent = (event: string, id: number | null, data: string): string =>
  `${id === null ? '' : `id: ${String(id)}\n`}event: ${event}\ndata: ${data}\n\n`;

export const comment = ':\n\n';

/** Throws AppError too_many_watchers; after that the reply belongs to the stream. */
export function openEventStream({ reply, streams, heartbeat, bounds, logger }: EventStreamOptions): EventStream {
  if (streams.size >= bounds.watchers)
    throw new AppError('too_many_watchers', `${String(streams.size)} streams are open, the limit is ${String(bounds.watchers)}.`);
  reply.hijack();
  const response = reply.raw;
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
    response.end();
  };
  // A client that is behind needs no sign of life.
  const beat = setInterval(() => {
    if (response.writableLength === 0) response.write(heartbeat());
  }, bounds.heartbeatMs);
  const lifetime = setTimeout(end, bounds.streamLifetimeMs);
  streams.add(end);
  response.once('close', () => {
    clearInterval(beat);
    clearTimeout(lifetime);
    streams.delete(end);
    ended.abort();
  });
  response.writeHead(200, { 'content-type': eventStreamType, 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  response.write(`retry: ${String(reconnectMs)}\n\n`);

  const send = async (text: string): Promise<boolean> => {
    if (ended.signal.aborted) return false;
    response.write(text);
    if (response.writableLength <= bounds.watcherBytes) return true;
    const slow = AbortSignal.timeout(bounds.slowWatcherMs);
    try {
      await once(response, 'drain', { signal: AbortSignal.any([ended.signal, slow]) });
      return true;
    } catch {
      // Nothing but the two signals ends the wait: the stream ended, or the client is too slow.
      if (slow.aborted) {
        logger.warn({ waitingBytes: response.writableLength }, 'slow watcher closed');
        ended.abort();
        response.destroy();
      }
      return false;
    }
  };
  return { signal: ended.signal, send, end };
}

export interface Bell {
  readonly ring: () => void;
  /** Resolves at once when it rang since the last time. */
  rung(): Promise<void>;
}

export function createBell(): Bell {
  let isRung = false;
  let wake: (() => void) | null = null;
  return {
    ring: () => {
      isRung = true;
      wake?.();
    },
    rung: async () => {
      if (!isRung)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      isRung = false;
      wake = null;
    },
  };
}
