// An ordered pull consumer of our own on plain requests: the library's stalled for 30 to 55 s after the server that hosted it had died.
// Delivers each message of the stream once, in order, from a sequence on, and ends with a reason as soon as it cannot go on; whoever uses it
// makes a new one. It does not judge gaps between sequences: a message may have been purged.
import { performance } from 'node:perf_hooks';
import { createInbox, type Msg } from 'nats';
import { subscribe } from './connection.ts';
import type { StreamApi } from './jetstream.ts';

const pullExpiresMs = 5000;
const heartbeatMs = 1000;
/** Without a message or a heartbeat for so long the consumer is given up. */
const stallMs = 1500;
const stallCheckMs = 250;
/** What the server may send ahead of us. */
const pullMessages = 256;
const pullBytes = 8 * 1024 * 1024;
/** Refused pulls in a row, each asked again at once, before the consumer is given up. */
const maxRefusals = 3;

export type ConsumptionEnd = 'stalled' | 'lost' | 'gone' | 'stopped';

interface Delivery {
  readonly streamSeq: number;
  readonly consumerSeq: number;
}

export interface ConsumptionHandler {
  message(seq: number, bytes: Uint8Array): void;
  /** Nothing came during one pull. */
  idle(): void;
}

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<streamSeq>.<consumerSeq>.<time>.<pending>`, or with domain and account before the stream and perhaps a random token at the end. */
function parseDelivery(reply: string): Delivery {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  return { streamSeq: Number(tokens[at]), consumerSeq: Number(tokens[at + 1]) };
}

/** Runs until it ends or `signal` aborts. `handler` is not called after that. */
export async function consume(
  api: StreamApi,
  stream: string,
  startSeq: number,
  handler: ConsumptionHandler,
  signal: AbortSignal,
): Promise<ConsumptionEnd> {
  const { connection } = api;
  const consumer = await api.consumer(startSeq);
  const inbox = createInbox();
  const pull = JSON.stringify({
    batch: pullMessages,
    max_bytes: pullBytes,
    expires: pullExpiresMs * nanosPerMs,
    idle_heartbeat: heartbeatMs * nanosPerMs,
  });
  return await new Promise<ConsumptionEnd>((resolve) => {
    let [consumerSeq, left, refusals, signAtMs] = [0, 0, 0, performance.now()];
    let ended = false;
    const end = (reason: ConsumptionEnd): void => {
      if (ended) return;
      ended = true;
      clearInterval(watchdog);
      signal.removeEventListener('abort', onAbort);
      subscription.unsubscribe();
      resolve(reason);
    };
    const onAbort = (): void => {
      end('stopped');
    };
    const ask = (): void => {
      left = pullMessages;
      connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, pull, { reply: inbox });
    };
    const onStatus = (code: number): void => {
      if (code === 100) return;
      if (code === 503 || (code === 409 && ++refusals > maxRefusals)) {
        end('gone');
        return;
      }
      if (code === 408 && left === pullMessages) handler.idle();
      ask();
    };
    const onMessage = (message: Msg): void => {
      if (ended) return;
      signAtMs = performance.now();
      if (message.subject === inbox) {
        onStatus(message.headers?.code ?? 0);
        return;
      }
      const delivery = parseDelivery(message.reply ?? '');
      if (delivery.consumerSeq !== consumerSeq + 1) {
        end('lost');
        return;
      }
      consumerSeq = delivery.consumerSeq;
      refusals = 0;
      handler.message(delivery.streamSeq, message.data);
      if (--left === 0 && !isOver()) ask();
    };
    const isOver = (): boolean => ended;
    const watchdog = setInterval(() => {
      if (connection.isClosed() || performance.now() - signAtMs > stallMs) end('stalled');
    }, stallCheckMs);
    const subscription = subscribe(connection, inbox, onMessage);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) end('stopped');
    else ask();
  });
}

const nanosPerMs = 1_000_000;
