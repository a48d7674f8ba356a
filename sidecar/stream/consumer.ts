// An ordered pull consumer of our own on plain requests: the library's stalled for 30 to 55 s after the server that hosted it had died.
// Delivers each message of the stream once, in order, from a sequence on, and ends with a reason as soon as it cannot go on; whoever uses it
// makes a new one. It does not judge gaps between sequences: a message may have been purged.
import { performance } from 'node:perf_hooks';
import { createInbox, type Msg, type NatsConnection } from 'nats';
import { subscribe } from './connection.ts';
import type { StreamApi } from './jetstream.ts';
import { parseDelivery } from './server-answer.ts';

const pullExpiresMs = 5000;
const heartbeatMs = 1000;
/** Without a message or a heartbeat for so long the consumer is given up. */
const stallMs = 1500;
const stallCheckMs = 250;
/** What the server may send ahead of us. */
const pullMessages = 256;
const pullBytes = 8 * 1024 * 1024;
const nanosPerMs = 1_000_000;
const pull = JSON.stringify({
  batch: pullMessages,
  max_bytes: pullBytes,
  expires: pullExpiresMs * nanosPerMs,
  idle_heartbeat: heartbeatMs * nanosPerMs,
});
/** Refused pulls in a row, each asked again at once, before the consumer is given up. */
const maxRefusals = 3;

export type ConsumptionEnd = 'stalled' | 'lost' | 'gone' | 'stopped';

export interface ConsumptionHandler {
  message(seq: number, bytes: Uint8Array): void;
  /** More is asked for when this has resolved. */
  room(): Promise<void>;
  /** Nothing came during one pull. */
  idle(): void;
}

/** Runs until it ends or `signal` aborts. `handler` is not called after that. */
export async function consume(
  api: StreamApi,
  stream: string,
  startSeq: number,
  handler: ConsumptionHandler,
  signal: AbortSignal,
): Promise<ConsumptionEnd> {
  const consumer = await api.consumer(startSeq);
  return new Consumption(api.connection, `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, handler).run(signal);
}

class Consumption {
  readonly #connection: NatsConnection;
  readonly #next: string;
  readonly #handler: ConsumptionHandler;
  readonly #inbox = createInbox();
  #consumerSeq = 0;
  /** Of the pull that was asked for last. */
  #left = 0;
  #refusals = 0;
  #signAtMs = performance.now();
  #waitsForRoom = false;
  #ended = false;
  #end: (reason: ConsumptionEnd) => void = () => undefined;

  constructor(connection: NatsConnection, next: string, handler: ConsumptionHandler) {
    this.#connection = connection;
    this.#next = next;
    this.#handler = handler;
  }

  async run(signal: AbortSignal): Promise<ConsumptionEnd> {
    const ended = new Promise<ConsumptionEnd>((resolve) => {
      this.#end = (reason) => {
        this.#ended = true;
        resolve(reason);
      };
    });
    const onAbort = (): void => this.#end('stopped');
    const watchdog = setInterval(() => this.#watch(), stallCheckMs);
    const subscription = subscribe(this.#connection, this.#inbox, (message) => this.#onMessage(message));
    signal.addEventListener('abort', onAbort);
    try {
      if (signal.aborted) onAbort();
      else this.#ask();
      return await ended;
    } finally {
      clearInterval(watchdog);
      signal.removeEventListener('abort', onAbort);
      subscription.unsubscribe();
    }
  }

  #watch(): void {
    const silent = !this.#waitsForRoom && performance.now() - this.#signAtMs > stallMs;
    if (silent || this.#connection.isClosed()) this.#end('stalled');
  }

  #ask(): void {
    this.#left = pullMessages;
    this.#connection.publish(this.#next, pull, { reply: this.#inbox });
  }

  async #askWithRoom(): Promise<void> {
    this.#waitsForRoom = true;
    await this.#handler.room();
    this.#waitsForRoom = false;
    this.#signAtMs = performance.now();
    if (!this.#ended && !this.#connection.isClosed()) this.#ask();
  }

  #onMessage(message: Msg): void {
    if (this.#ended) return;
    this.#signAtMs = performance.now();
    if (message.subject === this.#inbox) return this.#onStatus(message.headers?.code ?? 0);
    const delivery = parseDelivery(message.reply ?? '');
    if (delivery?.consumerSeq !== this.#consumerSeq + 1) return this.#end('lost');
    this.#consumerSeq = delivery.consumerSeq;
    this.#refusals = 0;
    this.#handler.message(delivery.streamSeq, message.data);
    this.#left -= 1;
    if (this.#left === 0) void this.#askWithRoom();
  }

  #onStatus(code: number): void {
    if (code === 100) return;
    if (code === 409) this.#refusals += 1;
    if (code === 503 || this.#refusals > maxRefusals) return this.#end('gone');
    if (code === 408 && this.#left === pullMessages) this.#handler.idle();
    void this.#askWithRoom();
  }
}
