// JetStream on a NATS connection: each call is one request with its outcomes as unions, and nothing is decided here.
// Messages are read with STREAM.MSG.GET rather than a direct get, which a lagging replica may serve; a purge names its subject, because one
// without jumps the sequence of the stream when it reaches beyond its end.
import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  DiscardPolicy,
  headers,
  nanos,
  NatsError,
  nuid,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type Msg,
  type NatsConnection,
  type StreamConfig,
} from 'nats';
import { AppError } from '../../common/errors.ts';
import { parseDelivery, parsePublishAnswer, parseStoredAt } from './server-answer.ts';
import { natsReason, subscribe, type NatsLink } from './connection.ts';
import { neededPayloadBytes } from './payload.ts';
import {
  heartbeatMs,
  pullExpiresMs,
  pullMessages,
  type Answer,
  type ConsumerSign,
  type JetStream,
  type JetStreamConnection,
  type JetStreamState,
  type PullConsumer,
} from './jetstream-port.ts';

const streamRequestTimeoutMs = 5000;
/** The server forgets a consumer that nobody pulled from for so long. */
const consumerInactiveMs = 10_000;
/** The shortest that the server takes; nothing here relies on its deduplication. */
const duplicateWindowMs = 100;
const pullBytes = 8 * 1024 * 1024;
const pullRequest = JSON.stringify({
  batch: pullMessages,
  max_bytes: pullBytes,
  expires: nanos(pullExpiresMs),
  idle_heartbeat: nanos(heartbeatMs),
});

const noStream = 10059;
const nameInUse = 10058;
const noMessage = 10037;

export interface StreamSettings {
  readonly name: string;
  readonly subjects: readonly string[];
  /** Copies that JetStream keeps; used when the stream is created. */
  readonly replicas: number;
}

/** A log loses nothing by itself: no limit of age or size, and a full disk refuses the new message instead of dropping the oldest. Single messages cannot be deleted; a purge is what gives up the oldest (`LogStream.purge`). */
const streamConfig = ({ name, subjects, replicas }: StreamSettings): Partial<StreamConfig> => ({
  name,
  subjects: [...subjects],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  num_replicas: replicas,
  discard: DiscardPolicy.New,
  max_msg_size: neededPayloadBytes,
  duplicate_window: nanos(duplicateWindowMs),
  deny_delete: true,
  deny_purge: false,
  allow_direct: false,
});

/** `null` when it is no answer of this stream. */
function parseAnswer(message: Msg, stream: string): Answer | null {
  const status = message.headers?.code ?? 0;
  if (status !== 0) return { kind: 'refused', code: status, description: 'nobody answers for the stream' };
  return parsePublishAnswer(message.data, stream);
}

/** A delivery that does not say where it stands counts as one that was lost. */
function parseSign(message: Msg, inbox: string): ConsumerSign {
  if (message.subject === inbox) return { kind: 'status', code: message.headers?.code ?? 0 };
  const { streamSeq, consumerSeq, storedAt } = parseDelivery(message.reply ?? '') ?? { streamSeq: 0, consumerSeq: 0, storedAt: '' };
  return { kind: 'message', streamSeq, consumerSeq, message: { bytes: message.data, storedAt } };
}

const apiCode = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined);

/** Carries out a call; an API error in `expected` is an answer, anything else is a failure. */
async function call<T>(run: () => Promise<T>, expected?: number): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    const code = apiCode(error);
    if (code !== undefined && code === expected) return null;
    throw new AppError('stream_unavailable', `JetStream did not answer as it should (${natsReason(error)}).`, error);
  }
}

function pullConsumer(nats: NatsConnection, stream: string, consumer: string, onSign: (sign: ConsumerSign) => void): PullConsumer {
  const inbox = createInbox();
  const subscription = nats.isClosed() ? null : subscribe(nats, inbox, (message) => onSign(parseSign(message, inbox)));
  return {
    pull() {
      if (!nats.isClosed()) nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, pullRequest, { reply: inbox });
    },
    stop() {
      subscription?.unsubscribe();
    },
  };
}

function connectionOf(nats: NatsConnection, settings: StreamSettings, inbox: string): JetStreamConnection {
  const { name } = settings;
  const manager = (): Promise<JetStreamManager> => nats.jetstreamManager({ checkAPI: false, timeout: streamRequestTimeoutMs });
  return {
    get closed() {
      return nats.isClosed();
    },
    send(subject, bytes, expectedSeq, token) {
      if (nats.isClosed()) return;
      // No other header: on three nodes a wrong last message id stops the stream for good, and ids are our own.
      const head = headers();
      head.set('Nats-Expected-Last-Sequence', String(expectedSeq));
      nats.publish(subject, bytes, { reply: `${inbox}.${String(token)}`, headers: head });
    },
    async ends() {
      const info = await call(async () => (await manager()).streams.info(name), noStream);
      return info === null ? null : { firstSeq: info.state.first_seq, lastSeq: info.state.last_seq };
    },
    async create() {
      await call(async () => (await manager()).streams.add(streamConfig(settings)), nameInUse);
    },
    async message(seq) {
      const stored = await call(async () => (await manager()).streams.getMessage(name, { seq }), noMessage);
      if (stored === null) return null;
      const storedAt = parseStoredAt(stored.timestamp);
      if (storedAt === null) throw new AppError('stream_unavailable', 'JetStream did not answer as it should (a message without a time).');
      return { bytes: stored.data, storedAt };
    },
    async purge(subject, beforeSeq) {
      await call(async () => (await manager()).streams.purge(name, { filter: subject, seq: beforeSeq }));
    },
    async consume(startSeq, onSign) {
      const consumer = {
        name: nuid.next(),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: startSeq,
        ack_policy: AckPolicy.None,
        replay_policy: ReplayPolicy.Instant,
        inactive_threshold: nanos(consumerInactiveMs),
        mem_storage: true,
        num_replicas: 1,
      };
      await call(async () => (await manager()).consumers.add(name, consumer));
      return pullConsumer(nats, name, consumer.name, onSign);
    },
  };
}

/** `close` ends what this follows of the link, which is the caller's. */
export function createJetStream(link: NatsLink, settings: StreamSettings): JetStream & { close(): void } {
  const inbox = createInbox();
  const stateListeners = new Set<(state: JetStreamState) => void>();
  let onAnswer: (token: number, answer: Answer) => void = () => undefined;
  let state: JetStreamState = { kind: 'disconnected', reason: '' };
  const close = link.onState((next) => {
    state = next.kind === 'disconnected' ? next : { kind: 'connected', connection: connectionOf(next.connection, settings, inbox) };
    // The same reply subjects on each connection: an answer that comes late still counts.
    if (next.kind === 'connected')
      subscribe(next.connection, `${inbox}.*`, (message) => {
        const answer = parseAnswer(message, settings.name);
        if (answer !== null) onAnswer(Number(message.subject.split('.').at(-1)), answer);
      });
    for (const listener of stateListeners) listener(state);
  });
  return {
    get state() {
      return state;
    },
    onState(listener) {
      stateListeners.add(listener);
      listener(state);
      return () => stateListeners.delete(listener);
    },
    onAnswer(listener) {
      onAnswer = listener;
    },
    close,
  };
}
