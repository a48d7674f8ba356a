// Publishes one frame at a time and stays with it until its outcome is known (I3, I8 rest on it).
// Each attempt for a frame carries the same reply subject, so that an answer that comes late still counts and a slow server cannot make the
// outcome unknown for ever. Only `Nats-Expected-Last-Sequence` is used: on three nodes a wrong last message id stops the stream for good, and a
// window of several expected sequences is no fence.
import { createInbox, headers, type Msg, type MsgHdrs, type NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { AppError, isAppError } from '../../common/errors.ts';
import { limits, type Frame } from '../core/frame.ts';
import type { PublishOutcome } from '../ports.ts';
import { subscribe, type NatsLink } from './connection.ts';
import { openStreamApi, type StreamSettings } from './jetstream.ts';
import { parsePublishAnswer, type PublishAnswer } from './server-answer.ts';
import { pause, untilChanged } from './waiting.ts';

/** Wait for an answer before the frame is sent again; doubled with each attempt. */
const answerMinMs = 1000;
const answerMaxMs = 5000;
/** Wait after an answer that settles nothing, as "no stream leader". */
const retryMs = 250;

const wrongLastSequence = [10071, 10164];
const messageTooLarge = 10054;

interface Attempt {
  readonly reply: string;
  /** The last answer that nobody has taken yet. */
  answer: PublishAnswer | null;
  wake: () => void;
  readonly signal: AbortSignal;
}

export interface PublisherOptions {
  readonly link: NatsLink;
  readonly settings: StreamSettings;
  readonly log: Logger;
}

export class FramePublisher {
  readonly #options: PublisherOptions;
  readonly #inbox = createInbox();
  readonly #unfollow: () => void;
  #count = 0;
  #attempt: Attempt | null = null;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#unfollow = options.link.onState((state) => {
      // Whoever waits for an answer looks again: a connection that is gone brings none.
      this.#attempt?.wake();
      if (state.kind !== 'connected') return;
      subscribe(state.connection, `${this.#inbox}.*`, (message) => {
        this.#receive(message);
      });
    });
  }

  close(): void {
    this.#unfollow();
  }

  /** As `LogStream.publish`. Rejects with AppError invalid_configuration when the stream takes only smaller messages. */
  async publish(frame: Frame, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome> {
    // One that was aborted may still be looking for its outcome, which nobody wants any more.
    if (this.#attempt?.signal.aborted === false) throw new Error('a frame is under way already');
    if (frame.bytes.length > limits.frameBytes) throw new Error('the frame is over the limit');
    const attempt: Attempt = { reply: `${this.#inbox}.${String((this.#count += 1))}`, answer: null, wake: () => undefined, signal };
    this.#attempt = attempt;
    try {
      return await this.#settle(attempt, frame, expectedSeq);
    } finally {
      if (this.#attempt === attempt) this.#attempt = null;
    }
  }

  async #settle(attempt: Attempt, frame: Frame, expectedSeq: number): Promise<PublishOutcome> {
    const { link, settings } = this.#options;
    const { signal } = attempt;
    const head = headers();
    head.set('Nats-Expected-Last-Sequence', String(expectedSeq));
    let waitMs = answerMinMs;
    while (!signal.aborted) {
      const { state } = link;
      if (state.kind === 'disconnected') {
        await untilChanged(link, state, signal);
        continue;
      }
      send(state.connection, settings.subject, frame, attempt.reply, head);
      let answer = await take(attempt, waitMs);
      waitMs = Math.min(2 * waitMs, answerMaxMs);
      while (answer !== null) {
        const outcome = await this.#judge(answer, state.connection, frame, expectedSeq);
        if (outcome !== null) return outcome;
        answer = await take(attempt, retryMs);
      }
      if (state.connection.isClosed()) await pause(retryMs, signal);
    }
    return { kind: 'unknown' };
  }

  /** The outcome that an answer proves; `null` when it proves none. */
  async #judge(answer: PublishAnswer, connection: NatsConnection, frame: Frame, expectedSeq: number): Promise<PublishOutcome | null> {
    if (answer.kind === 'stored') {
      return answer.seq === expectedSeq + 1 ? answer : { kind: 'conflict', lastSeq: answer.seq };
    }
    const { code, description } = answer;
    if (wrongLastSequence.includes(code)) return this.#readBack(connection, frame, expectedSeq);
    if (code === messageTooLarge) {
      throw new AppError(
        'invalid_configuration',
        `The stream refuses messages of ${String(frame.bytes.length)} bytes; raise its max_msg_size.`,
      );
    }
    this.#options.log.warn({ code, description }, 'stream did not take the frame, sending it again');
    return null;
  }

  /** Whose message stands at `expectedSeq + 1`? */
  async #readBack(connection: NatsConnection, frame: Frame, expectedSeq: number): Promise<PublishOutcome | null> {
    try {
      const api = await openStreamApi(connection, this.#options.settings);
      const [bytes, ends] = [await api.message(expectedSeq + 1), await api.ends()];
      if (bytes !== null && Buffer.compare(bytes, frame.bytes) === 0) return { kind: 'stored', seq: expectedSeq + 1 };
      const lastSeq = ends?.lastSeq ?? 0;
      // On several nodes the leader refuses a frame as long as an attempt before it, our own perhaps, is under way to the other nodes.
      return bytes === null && lastSeq === expectedSeq ? null : { kind: 'conflict', lastSeq };
    } catch (error) {
      if (isAppError(error) || connection.isClosed()) return null;
      throw error;
    }
  }

  #receive(message: Msg): void {
    const attempt = this.#attempt;
    if (attempt === null || message.subject !== attempt.reply) return;
    const answer = this.#parse(message);
    // An acknowledgement is final; nothing that comes after it may hide it.
    if (answer === null || attempt.answer?.kind === 'stored') return;
    attempt.answer = answer;
    attempt.wake();
  }

  #parse(message: Msg): PublishAnswer | null {
    const status = message.headers?.code ?? 0;
    if (status !== 0) return { kind: 'refused', code: status, description: 'nobody answers for the stream' };
    return parsePublishAnswer(message.data, this.#options.settings.name);
  }
}

function send(connection: NatsConnection, subject: string, frame: Frame, reply: string, head: MsgHdrs): void {
  // A connection that closes takes nothing more; the frame is sent again on the next.
  if (!connection.isClosed()) connection.publish(subject, frame.bytes, { reply, headers: head });
}

/** The next answer; `null` after `timeoutMs`, or when the connection changes or `signal` aborts. */
async function take(attempt: Attempt, timeoutMs: number): Promise<PublishAnswer | null> {
  const { signal } = attempt;
  if (attempt.answer === null && !signal.aborted) {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      signal.addEventListener('abort', wake);
      attempt.wake = wake;
    });
    attempt.wake = () => undefined;
  }
  const { answer } = attempt;
  attempt.answer = null;
  return answer;
}
