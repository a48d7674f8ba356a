// Follows the stream from a place: checks each sequence itself, and after every interruption that the message at the place is still the one
// that was read. A stream that lost its end uses sequences again, and a purge makes a reader that is behind skip without a word.
// To check, a new consumer starts *at* the place, not behind it: the first message that it delivers is the evidence, so that nothing can
// change between the check and the reading. While nothing comes the message at the place is looked at once in a while.
import type { Logger } from 'pino';
import { isAppError } from '../../common/errors.ts';
import { decodeFrame, type Sha256 } from '../core/frame.ts';
import type { Clock, StreamEvent } from '../ports.ts';
import { consume, type ConsumptionHandler } from './consumer.ts';
import type { JetStream, JetStreamConnection, StreamEnds } from './jetstream-port.ts';
import { pause, untilChanged, within } from './waiting.ts';

/** Wait before the next consumer; doubled for each failure in a row. */
const retryMinMs = 100;
const retryMaxMs = 2000;

/** The last message that was read. Without `is` there is nothing to check: it is before the first message. */
interface Place {
  readonly seq: number;
  readonly is: ((bytes: Uint8Array) => boolean) | null;
}
const start: Place = { seq: 0, is: null };

export interface ReaderOptions {
  readonly jetstream: JetStream;
  readonly stream: string;
  readonly mayCreate: boolean;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly log: Logger;
  readonly onEvent: (event: StreamEvent) => void;
  readonly room: () => Promise<void>;
  readonly signal: AbortSignal;
}

export class StreamReader {
  readonly #options: ReaderOptions;
  #place: Place;
  /** Messages up to here were told as purged; 0 none. */
  #purgedSeq = 0;
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
    const { jetstream, clock, signal } = this.#options;
    let retryMs = retryMinMs;
    while (!signal.aborted) {
      const { state } = jetstream;
      if (state.kind === 'disconnected') {
        this.#tell(state.reason);
        await untilChanged(jetstream, state, signal);
        continue;
      }
      const failure = await this.#follow(state.connection).catch((error: unknown) => {
        if (isAppError(error)) return error.detail;
        throw error;
      });
      if (failure !== null && !state.connection.closed) this.#tell(failure);
      retryMs = failure === null ? retryMinMs : Math.min(2 * retryMs, retryMaxMs);
      await pause(clock, retryMs, signal);
    }
  }

  /** The sequence of the last message that was read, when it stands there at this moment; otherwise 0. Rejects as the calls of the connection do. */
  async verifiedSeq(connection: JetStreamConnection): Promise<number> {
    const { seq, is } = this.#place;
    if (is === null) return 0;
    const bytes = await connection.message(seq);
    return bytes !== null && is(bytes) ? seq : 0;
  }

  /** One consumer, from its making to its end. Returns what is wrong with the stream, or `null` when only this consumer is over. */
  async #follow(connection: JetStreamConnection): Promise<string | null> {
    const { mayCreate, clock, signal, log } = this.#options;
    let ends = await connection.ends();
    if (ends === null) {
      if (!mayCreate) return 'The stream does not exist yet; a member of the cluster creates it.';
      await connection.create();
      ends = await connection.ends();
    }
    if (ends === null) return 'The stream could not be created.';
    this.#compare(ends);
    this.#tell('');
    return within(signal, async (session) => {
      const { seq, is } = this.#place;
      try {
        const end = await consume(connection, clock, is === null ? seq + 1 : seq, this.#handler(connection, session), session.signal);
        log.debug({ end, seq: this.#place.seq }, 'stream consumer ended');
        return null;
      } finally {
        session.abort();
      }
    });
  }

  /** What the ends of the stream say of the place: a lost end, or a purge beyond it. */
  #compare({ firstSeq, lastSeq }: StreamEnds): void {
    const place = this.#place;
    if (lastSeq < place.seq) this.#restart(`the stream ends at ${String(lastSeq)}, before the last message read`);
    else if (this.#isReplaced(firstSeq)) this.#restart('the stream is another one than that which was purged');
    const { seq, is } = this.#place;
    if (firstSeq <= (is === null ? seq + 1 : seq)) return;
    this.#skip(firstSeq);
  }

  /** The first sequence of a stream never moves back. It may be another stream though the place was never checked, or has been read since. */
  #isReplaced(firstSeq: number): boolean {
    return this.#purgedSeq > 0 && firstSeq <= this.#purgedSeq;
  }

  #skip(firstSeq: number): void {
    const { log, stream } = this.#options;
    log.warn({ stream, seq: this.#place.seq, firstSeq }, 'stream was purged beyond the last message read');
    this.#place = { seq: firstSeq - 1, is: null };
    this.#purgedSeq = firstSeq - 1;
    this.#emit({ kind: 'purged', firstSeq });
  }

  #handler(connection: JetStreamConnection, session: AbortController): ConsumptionHandler {
    let at: 'unseen' | 'seen' | 'reading' | 'over' = this.#place.is === null ? 'reading' : 'unseen';
    return {
      message: (seq, bytes) => {
        const place = this.#place;
        if (at === 'over') return;
        if (at === 'unseen') {
          at = 'seen';
          if (seq === place.seq && place.is?.(bytes) === true) return;
          at = 'over';
          if (seq === place.seq) this.#differs(session);
          else void this.#look(connection, session).then(() => session.abort());
          return;
        }
        if (seq !== place.seq + 1) {
          // Right behind a place that was just seen, what lay between is gone; elsewhere look again from the place.
          if (at === 'reading') {
            at = 'over';
            session.abort();
            return;
          }
          this.#skip(seq);
        }
        at = 'reading';
        this.#place = { seq, is: (other) => Buffer.compare(bytes, other) === 0 };
        this.#emit({ kind: 'frame', seq, bytes });
      },
      room: this.#options.room,
      idle: () => {
        void this.#look(connection, session);
      },
    };
  }

  /** Is the message at the place still there, and the last one? If not, the session is over. A call that failed is no answer. */
  async #look(connection: JetStreamConnection, session: AbortController): Promise<void> {
    const place = this.#place;
    try {
      const bytes = place.is === null ? null : await connection.message(place.seq);
      const ends = await connection.ends();
      if (session.signal.aborted || this.#place !== place) return;
      if (place.is !== null && bytes !== null && !place.is(bytes)) {
        this.#differs(session);
        return;
      }
      const isGone = place.is !== null && bytes === null;
      // A consumer may bring heartbeats and no messages.
      if (!isGone && ends?.lastSeq === place.seq && !this.#isReplaced(ends.firstSeq)) return;
      // A purge, and an end that was lost, are seen before the next consumer.
      if (isGone && ends !== null && ends.firstSeq <= place.seq) this.#restart('the last message read is gone');
      session.abort();
    } catch (error) {
      if (!isAppError(error)) throw error;
    }
  }

  #differs(session: AbortController): void {
    this.#restart('another message stands at the last sequence read');
    session.abort();
  }

  #restart(reason: string): void {
    const { log, stream } = this.#options;
    log.warn({ stream, seq: this.#place.seq, reason }, 'stream is read again from its first message');
    this.#place = start;
    this.#purgedSeq = 0;
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
