// Publishes one message at a time and stays with it until its outcome is known (I3, I8 rest on it).
// Each attempt for a message carries the same token, so that an answer that comes late still counts and a slow server cannot make the
// outcome unknown for ever. Only the expected last sequence is used: a window of several is no fence. What an answer does not prove is looked
// up: the message behind the expected sequence is ours, or another's, or the same message is sent again.
import type { Logger } from 'pino';
import { AppError, isAppError } from '../../common/errors.ts';
import type { Clock, PublishOutcome } from '../ports.ts';
import type { Answer, JetStream, JetStreamConnection } from './jetstream-port.ts';
import { pause, until, untilChanged, within } from './waiting.ts';

/** Wait for an answer before the message is sent again; doubled with each attempt. */
const answerMinMs = 1000;
const answerMaxMs = 5000;
/** Wait after an answer that settles nothing, as "no stream leader". */
const retryMs = 250;

const wrongLastSequence = [10071, 10164];
const messageTooLarge = 10054;

interface Attempt {
  readonly token: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly expectedSeq: number;
  readonly controller: AbortController;
  /** The last answer that nobody has taken yet. */
  answer: Answer | null;
  wake: () => void;
}

export interface PublisherOptions {
  readonly jetstream: JetStream;
  readonly clock: Clock;
  readonly log: Logger;
}

export class MessagePublisher {
  readonly #options: PublisherOptions;
  readonly #unfollow: () => void;
  #count = 0;
  #attempt: Attempt | null = null;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    // Whoever waits for an answer looks again: a connection that is gone brings none.
    this.#unfollow = options.jetstream.onState(() => this.#attempt?.wake());
    options.jetstream.onAnswer((token, answer) => this.#receive(token, answer));
  }

  /** What is under way, and what comes later, stays unknown. */
  close(): void {
    this.#closed = true;
    this.#unfollow();
    this.#attempt?.controller.abort();
  }

  /** As `LogStream.publish`. Rejects with AppError invalid_configuration when the stream takes only smaller messages. */
  async publish(subject: string, bytes: Uint8Array, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome> {
    // What was given up comes late, perhaps, when another caller's message is under way.
    if (this.#closed || signal.aborted) return { kind: 'unknown' };
    // One that was aborted may still be looking for its outcome, which nobody wants any more.
    if (this.#attempt?.controller.signal.aborted === false) throw new Error('a message is under way already');
    return within(signal, async (controller) => {
      const token = (this.#count += 1);
      const attempt: Attempt = { token, subject, bytes, expectedSeq, controller, answer: null, wake: () => undefined };
      this.#attempt = attempt;
      try {
        return await this.#settle(attempt);
      } finally {
        if (this.#attempt === attempt) this.#attempt = null;
      }
    });
  }

  async #settle(attempt: Attempt): Promise<PublishOutcome> {
    const { jetstream, clock } = this.#options;
    const { signal } = attempt.controller;
    let waitMs = answerMinMs;
    while (!signal.aborted) {
      const { state } = jetstream;
      if (state.kind === 'disconnected') {
        await untilChanged(jetstream, state, signal);
        continue;
      }
      state.connection.send(attempt.subject, attempt.bytes, attempt.expectedSeq, attempt.token);
      let answer = await this.#take(attempt, waitMs);
      waitMs = Math.min(2 * waitMs, answerMaxMs);
      while (answer !== null) {
        const outcome = await this.#judge(answer, state.connection, attempt);
        if (outcome !== null) return outcome;
        answer = await this.#take(attempt, retryMs);
      }
      if (state.connection.closed) await pause(clock, retryMs, signal);
    }
    return { kind: 'unknown' };
  }

  /** The outcome that an answer proves; `null` when it proves none. */
  async #judge(answer: Answer, connection: JetStreamConnection, attempt: Attempt): Promise<PublishOutcome | null> {
    if (answer.kind === 'stored') {
      if (answer.seq === attempt.expectedSeq + 1) return answer;
      this.#options.log.error({ ...answer, expectedSeq: attempt.expectedSeq }, 'stored elsewhere than expected');
      return this.#readBack(connection, attempt);
    }
    const { code, description } = answer;
    if (wrongLastSequence.includes(code)) return this.#readBack(connection, attempt);
    if (code === messageTooLarge) {
      throw new AppError(
        'invalid_configuration',
        `The stream refuses messages of ${String(attempt.bytes.length)} bytes; raise its max_msg_size.`,
      );
    }
    this.#options.log.warn({ code, description }, 'stream did not take the message, sending it again');
    return null;
  }

  /** Whose message stands at `expectedSeq + 1`? */
  async #readBack(connection: JetStreamConnection, { bytes, expectedSeq }: Attempt): Promise<PublishOutcome | null> {
    const seq = expectedSeq + 1;
    try {
      const [found, ends] = [await connection.message(seq), await connection.ends()];
      if (found !== null && Buffer.compare(found.bytes, bytes) === 0) return { kind: 'stored', seq };
      if (found !== null) return { kind: 'conflict', lastSeq: Math.max(seq, ends?.lastSeq ?? 0) };
      // On several nodes the leader refuses a message as long as an attempt before it, our own perhaps, is under way to the other nodes; and
      // a message that was not there and should be was looked for at a server that does not know yet that it leads no more.
      const lastSeq = ends?.lastSeq ?? 0;
      const open = lastSeq === expectedSeq || (ends !== null && ends.firstSeq <= seq && seq <= lastSeq);
      return open ? null : { kind: 'conflict', lastSeq };
    } catch (error) {
      if (isAppError(error)) return null;
      throw error;
    }
  }

  #receive(token: number, answer: Answer): void {
    const attempt = this.#attempt;
    // An acknowledgement is final; nothing that comes after it may hide it.
    if (attempt?.token !== token || attempt.answer?.kind === 'stored') return;
    attempt.answer = answer;
    attempt.wake();
  }

  /** The next answer; `null` after `timeoutMs`, or when the connection changes or the attempt is given up. */
  async #take(attempt: Attempt, timeoutMs: number): Promise<Answer | null> {
    if (attempt.answer === null)
      await until(attempt.controller.signal, (done) => {
        attempt.wake = done;
        return this.#options.clock.after(timeoutMs, done);
      });
    attempt.wake = () => undefined;
    const { answer } = attempt;
    attempt.answer = null;
    return answer;
  }
}
