// Follows the stream from a place: checks each sequence itself, and after every interruption that the message at the place is still the one
// that was read. A stream that lost its end uses sequences again, and a purge makes a reader that is behind skip without a word.
// To check, a new consumer starts *at* the place, not behind it: the first message that it delivers is the evidence, so that nothing can
// change between the check and the reading. While nothing comes the message at the place is looked at once in a while.
import type { Logger } from 'pino';
import { isAppError } from '../../common/errors.ts';
import { decodeFrame, type Sha256 } from '../core/frame.ts';
import type { StreamEvent } from '../ports.ts';
import { natsReason, type NatsLink } from './connection.ts';
import { consume, type ConsumptionHandler } from './consumer.ts';
import { openStreamApi, type StreamApi, type StreamSettings } from './jetstream.ts';
import { pause, untilChanged } from './waiting.ts';

/** Wait before the next consumer; doubled for each failure in a row. */
const retryMinMs = 100;
const retryMaxMs = 2000;

/** The last message that was read; `seq` 0 is before the first, where there is nothing to check. */
interface Place {
  readonly seq: number;
  readonly is: (bytes: Uint8Array) => boolean;
}
const start: Place = { seq: 0, is: () => true };

export interface ReaderOptions {
  readonly link: NatsLink;
  readonly settings: StreamSettings;
  readonly mayCreate: boolean;
  readonly sha256: Sha256;
  readonly log: Logger;
  readonly onEvent: (event: StreamEvent) => void;
  readonly room: () => Promise<void>;
  readonly signal: AbortSignal;
}

export class StreamReader {
  readonly #options: ReaderOptions;
  #place: Place;
  /** What was last told of the connection: `''` connected, else why not; `null` nothing yet. */
  #told: string | null = null;

  constructor(afterSeq: number, hash: string, options: ReaderOptions) {
    this.#options = options;
    const is = (bytes: Uint8Array): boolean => {
      const frame = decodeFrame(bytes, options.sha256);
      return 'hash' in frame && frame.hash === hash;
    };
    this.#place = afterSeq === 0 ? start : { seq: afterSeq, is };
  }

  /** Resolves when `signal` aborts. */
  async run(): Promise<void> {
    const { link, signal, settings } = this.#options;
    let retryMs = retryMinMs;
    while (!signal.aborted) {
      const { state } = link;
      if (state.kind === 'disconnected') {
        this.#tell(state.reason);
        await untilChanged(link, state, signal);
        continue;
      }
      const { connection } = state;
      const failure = await openStreamApi(connection, settings)
        .then((api) => this.#follow(api))
        .catch((error: unknown) => {
          if (isAppError(error)) return error.detail;
          // Publishing on a connection that has just closed throws.
          if (connection.isClosed()) return natsReason(error);
          throw error;
        });
      if (failure !== null && !connection.isClosed()) this.#tell(failure);
      retryMs = failure === null ? retryMinMs : Math.min(2 * retryMs, retryMaxMs);
      await pause(retryMs, signal);
    }
  }

  /** One consumer, from its making to its end. Returns what is wrong with the stream, or `null` when only this consumer is over. */
  async #follow(api: StreamApi): Promise<string | null> {
    const { settings, mayCreate, signal, log } = this.#options;
    let ends = await api.ends();
    if (ends === null) {
      if (!mayCreate) return 'The stream does not exist yet; a member of the cluster creates it.';
      await api.create();
      ends = await api.ends();
    }
    if (ends === null) return 'The stream could not be created.';
    if (ends.lastSeq < this.#place.seq) this.#restart(`the stream ends at ${String(ends.lastSeq)}, before the last message read`);
    this.#tell('');
    const session = new AbortController();
    const stop = (): void => {
      session.abort();
    };
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    try {
      const end = await consume(api, settings.name, Math.max(1, this.#place.seq), this.#handler(api, session), session.signal);
      log.debug({ end, seq: this.#place.seq }, 'stream consumer ended');
      return null;
    } finally {
      session.abort();
      signal.removeEventListener('abort', stop);
    }
  }

  #handler(api: StreamApi, session: AbortController): ConsumptionHandler {
    let at: 'unseen' | 'seen' | 'reading' = this.#place.seq > 0 ? 'unseen' : 'seen';
    return {
      message: (seq, bytes) => {
        const place = this.#place;
        if (at === 'unseen') {
          at = 'seen';
          if (seq === place.seq && place.is(bytes)) return;
          this.#restart(seq === place.seq ? 'another message stands at the last sequence read' : 'the last message read is gone');
          session.abort();
          return;
        }
        // Right behind a place that was just seen, a gap means that the messages between are gone; elsewhere look again from the place.
        if (at === 'reading' && seq !== place.seq + 1) {
          session.abort();
          return;
        }
        at = 'reading';
        this.#place = { seq, is: (other) => Buffer.compare(bytes, other) === 0 };
        this.#emit({ kind: 'frame', seq, bytes });
      },
      room: this.#options.room,
      idle: () => {
        void this.#look(api, session);
      },
    };
  }

  /** Is the message at the place still there? Only a message that is gone or another is an answer; a call that failed is not. */
  async #look(api: StreamApi, session: AbortController): Promise<void> {
    const place = this.#place;
    if (place.seq === 0) return;
    let bytes: Uint8Array | null;
    try {
      bytes = await api.message(place.seq);
    } catch (error) {
      if (isAppError(error) || api.connection.isClosed()) return;
      throw error;
    }
    if (session.signal.aborted || (bytes !== null && place.is(bytes))) return;
    this.#restart(bytes === null ? 'the last message read is gone' : 'another message stands at the last sequence read');
    session.abort();
  }

  #restart(reason: string): void {
    const { log, settings } = this.#options;
    log.warn({ stream: settings.name, seq: this.#place.seq, reason }, 'stream is read again from its first message');
    this.#place = start;
    this.#emit({ kind: 'restarted', reason });
  }

  #tell(problem: string): void {
    if (this.#told === problem) return;
    this.#told = problem;
    this.#emit(problem === '' ? { kind: 'connected' } : { kind: 'disconnected', reason: problem });
  }

  #emit(event: StreamEvent): void {
    if (!this.#options.signal.aborted) this.#options.onEvent(event);
  }
}
