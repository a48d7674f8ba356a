// Reads a stream in order and without a gap: each (re)start first verifies that the message at the reader's position is the one that was read,
// a watchdog replaces a consumer that fell silent, and a sequence that is not the next one is never passed on.
import { setTimeout as delay } from 'node:timers/promises';
import type { Msg, NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { isAppError } from '../../common/errors.ts';
import { decodeFrame, type Sha256 } from '../core/frame.ts';
import type { StreamEvent } from '../ports.ts';
import { subscribe, type NatsLink } from './connection.ts';
import { connectionOf, createConsumer, deleteConsumer, deliveredSeq, messageAt, pull, pullBatch, streamState } from './jetstream-api.ts';

/** Silence after which the consumer is replaced: two heartbeats and some grace. */
const silenceMs = 2200;
const watchdogMs = 250;
const retryMs = 250;

export interface ReaderOptions {
  readonly link: NatsLink;
  readonly stream: string;
  readonly sha256: Sha256;
  readonly log: Logger;
  /** Makes sure that the stream is there, where this process may; resolves to false while it is not. */
  readonly ensureStream: () => Promise<boolean>;
  readonly onEvent: (event: StreamEvent) => void;
}

/** Why one consumer ended. */
type End = 'closed' | 'silent' | 'gap';

export class StreamReader {
  readonly #options: ReaderOptions;
  readonly #closing = new AbortController();
  #seq: number;
  #hash: string;

  constructor(options: ReaderOptions, afterSeq: number, hash: string) {
    this.#options = options;
    this.#seq = afterSeq;
    this.#hash = hash;
    void this.#run();
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    while (!this.#closing.signal.aborted) {
      try {
        if (await this.#options.ensureStream()) {
          await this.#verify();
          const end = await this.#consume();
          if (end !== 'closed') log.debug({ end, seq: this.#seq }, 'stream consumer replaced');
        }
      } catch (error) {
        if (!isAppError(error)) throw error;
        log.debug({ detail: error.detail }, 'stream cannot be read now');
      }
      await delay(retryMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** The message at the position must be the one that was read; otherwise reading begins at the first. */
  async #verify(): Promise<void> {
    if (this.#seq === 0) return;
    const bytes = await messageAt(this.#options.link, this.#options.stream, this.#seq);
    if (bytes !== null && this.#hashOf(bytes) === this.#hash) return;
    this.#restart(bytes === null ? 'the message that was read last is gone' : 'another message stands where the last one was read');
  }

  #hashOf(bytes: Uint8Array): string {
    const frame = decodeFrame(bytes, this.#options.sha256);
    return 'error' in frame ? this.#options.sha256(bytes) : frame.hash;
  }

  #restart(reason: string): void {
    this.#seq = 0;
    this.#hash = '';
    if (!this.#closing.signal.aborted) this.#options.onEvent({ kind: 'restarted', reason });
  }

  async #consume(): Promise<End> {
    const { link, stream } = this.#options;
    const connection = connectionOf(link);
    const state = await streamState(link, stream);
    if (state === null) return 'silent';
    // A stream whose beginning was purged is read from where it begins; what is before comes from the peers.
    const first = this.#seq === 0 ? state.firstSeq : this.#seq + 1;
    const consumer = await createConsumer(link, stream, Math.max(first, 1));
    try {
      return await this.#receive(connection, consumer, Math.max(first, 1));
    } finally {
      deleteConsumer(connection, stream, consumer);
    }
  }

  async #receive(connection: NatsConnection, consumer: string, first: number): Promise<End> {
    const { stream } = this.#options;
    const inbox = `_INBOX.${consumer}.${String(first)}`;
    let heardAtMs = performance.now();
    let next = first;
    let left = pullBatch;
    const over: { end: End | null } = { end: null };
    const onMessage = (message: Msg): void => {
      heardAtMs = performance.now();
      const seq = deliveredSeq(message.reply);
      if (seq === null) {
        // A status: 100 is a heartbeat; anything else ends this pull, and the next one begins (or the watchdog replaces the consumer).
        if (message.headers?.code === 100) return;
        left = pullBatch;
        if (over.end === null) pull(connection, stream, consumer, inbox);
        return;
      }
      if (over.end !== null || this.#closing.signal.aborted) return;
      if (seq !== next) {
        over.end = 'gap';
        if (seq > next) this.#restart('messages between were purged');
        return;
      }
      next += 1;
      this.#seq = seq;
      this.#hash = this.#hashOf(message.data);
      left -= 1;
      if (left === 0) {
        left = pullBatch;
        pull(connection, stream, consumer, inbox);
      }
      this.#options.onEvent({ kind: 'frame', seq, bytes: message.data });
    };
    const subscription = subscribe(connection, inbox, onMessage);
    try {
      pull(connection, stream, consumer, inbox);
      for (;;) {
        await delay(watchdogMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
        if (this.#closing.signal.aborted || connection.isClosed()) return 'closed';
        if (over.end !== null) return over.end;
        if (performance.now() - heardAtMs > silenceMs) return 'silent';
      }
    } finally {
      subscription.unsubscribe();
    }
  }
}
