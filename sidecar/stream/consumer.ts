// An ordered pull consumer of our own on plain requests: the library's stalled for 30 to 55 s after the server that hosted it had died.
// Delivers each message of the stream once, in order, from a sequence on, and ends with a reason as soon as it cannot go on; whoever uses it
// makes a new one. It does not judge gaps between sequences: a message may have been purged.
import type { Clock } from '../ports.ts';
import { pullMessages, type ConsumerSign, type JetStreamConnection, type PullConsumer, type StoredMessage } from './jetstream-port.ts';

/** Without a message or a heartbeat for so long the consumer is given up. */
const stallMs = 1500;
const stallCheckMs = 250;
/** Refused pulls in a row, each asked again at once, before the consumer is given up. */
const maxRefusals = 3;

export type ConsumptionEnd = 'stalled' | 'lost' | 'gone' | 'stopped';

export interface ConsumptionHandler {
  message(seq: number, message: StoredMessage): void;
  /** More is asked for when this has resolved. */
  room(): Promise<void>;
  /** Nothing came during one pull. */
  idle(): void;
}

/** Runs until it ends or `signal` aborts. `handler` is not called after that. Rejects as the calls of the connection do. */
export async function consume(
  connection: JetStreamConnection,
  clock: Clock,
  startSeq: number,
  handler: ConsumptionHandler,
  signal: AbortSignal,
): Promise<ConsumptionEnd> {
  const consumption = new Consumption(connection, clock, handler);
  const consumer = await connection.consume(startSeq, (sign) => consumption.onSign(sign));
  try {
    return await consumption.run(consumer, signal);
  } finally {
    consumer.stop();
  }
}

class Consumption {
  readonly #connection: JetStreamConnection;
  readonly #clock: Clock;
  readonly #handler: ConsumptionHandler;
  #consumer: PullConsumer | null = null;
  #consumerSeq = 0;
  /** Of the pull that was asked for last. */
  #left = 0;
  #refusals = 0;
  #signAtMs = 0;
  #waitsForRoom = false;
  #ended = false;
  #end: (reason: ConsumptionEnd) => void = () => undefined;
  #cancelWatch: () => void = () => undefined;

  constructor(connection: JetStreamConnection, clock: Clock, handler: ConsumptionHandler) {
    this.#connection = connection;
    this.#clock = clock;
    this.#handler = handler;
  }

  async run(consumer: PullConsumer, signal: AbortSignal): Promise<ConsumptionEnd> {
    const ended = new Promise<ConsumptionEnd>((resolve) => {
      this.#end = (reason) => {
        this.#ended = true;
        resolve(reason);
      };
    });
    const onAbort = (): void => this.#end('stopped');
    signal.addEventListener('abort', onAbort);
    this.#consumer = consumer;
    this.#signAtMs = this.#clock.nowMs();
    this.#watch();
    if (signal.aborted) onAbort();
    else this.#ask();
    const reason = await ended;
    this.#cancelWatch();
    signal.removeEventListener('abort', onAbort);
    return reason;
  }

  onSign(sign: ConsumerSign): void {
    if (this.#ended) return;
    this.#signAtMs = this.#clock.nowMs();
    if (sign.kind === 'status') return this.#onStatus(sign.code);
    if (sign.consumerSeq !== this.#consumerSeq + 1) return this.#end('lost');
    this.#consumerSeq = sign.consumerSeq;
    this.#refusals = 0;
    this.#handler.message(sign.streamSeq, sign.message);
    this.#left -= 1;
    if (this.#left === 0) void this.#askWithRoom();
  }

  #watch(): void {
    const silent = !this.#waitsForRoom && this.#clock.nowMs() - this.#signAtMs > stallMs;
    if (silent || this.#connection.closed) return this.#end('stalled');
    this.#cancelWatch = this.#clock.after(stallCheckMs, () => this.#watch());
  }

  #ask(): void {
    this.#left = pullMessages;
    this.#consumer?.pull();
  }

  async #askWithRoom(): Promise<void> {
    this.#waitsForRoom = true;
    await this.#handler.room();
    this.#waitsForRoom = false;
    this.#signAtMs = this.#clock.nowMs();
    if (!this.#ended) this.#ask();
  }

  #onStatus(code: number): void {
    if (code === 100) return;
    if (code !== 408) this.#refusals += 1;
    if (code === 503 || this.#refusals > maxRefusals) return this.#end('gone');
    if (code === 408 && this.#left === pullMessages) this.#handler.idle();
    void this.#askWithRoom();
  }
}
