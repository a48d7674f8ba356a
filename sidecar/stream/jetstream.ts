// The few calls of the JetStream API that the log needs, on one connection, with their outcomes as unions.
// All are answered by the stream's leader: STREAM.MSG.GET rather than a direct get, which a lagging replica may serve.
// A call that is not answered rejects with AppError stream_unavailable.
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  NatsError,
  nuid,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type NatsConnection,
  type StreamConfig,
} from 'nats';
import { AppError } from '../../common/errors.ts';
import { natsReason, neededPayloadBytes } from './connection.ts';

const streamRequestTimeoutMs = 5000;
/** The server forgets a consumer that nobody pulled from for so long. */
const consumerInactiveMs = 10_000;
/** The shortest that the server takes; nothing here relies on its deduplication. */
const duplicateWindowMs = 100;

const noStream = 10059;
const nameInUse = 10058;
const noMessage = 10037;

export interface StreamEnds {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export interface StreamSettings {
  readonly name: string;
  readonly subject: string;
  readonly replicas: number;
}

export interface StreamApi {
  readonly connection: NatsConnection;
  /** `null` when there is no such stream. */
  ends(): Promise<StreamEnds | null>;
  /** Creates the stream; one that exists is left as it is. */
  create(): Promise<void>;
  /** The bytes of the message with this sequence, `null` when there is none. */
  message(seq: number): Promise<Uint8Array | null>;
  /** An ephemeral pull consumer, without acknowledgements, that starts at `seq` or at the first message after it. Returns its name. */
  consumer(seq: number): Promise<string>;
}

/** A log loses nothing by itself: no limit of age or size, and a full disk refuses the new message instead of dropping the oldest. */
const streamConfig = ({ name, subject, replicas }: StreamSettings): Partial<StreamConfig> => ({
  name,
  subjects: [subject],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  num_replicas: replicas,
  discard: DiscardPolicy.New,
  max_msg_size: neededPayloadBytes,
  duplicate_window: nanos(duplicateWindowMs),
  deny_delete: true,
  allow_direct: false,
});

const apiCode = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined);

export async function openStreamApi(connection: NatsConnection, settings: StreamSettings): Promise<StreamApi> {
  const manager: JetStreamManager = await connection.jetstreamManager({ checkAPI: false, timeout: streamRequestTimeoutMs });
  const { name } = settings;
  /** Carries out a call; an API error in `expected` is an answer, anything else is a failure. */
  const call = async <T>(run: () => Promise<T>, expected: number): Promise<T | null> => {
    try {
      return await run();
    } catch (error) {
      if (apiCode(error) === expected) return null;
      throw new AppError('stream_unavailable', `JetStream did not answer as it should (${natsReason(error)}).`, error);
    }
  };
  return {
    connection,
    async ends() {
      const info = await call(() => manager.streams.info(name), noStream);
      return info === null ? null : { firstSeq: info.state.first_seq, lastSeq: info.state.last_seq };
    },
    async create() {
      await call(() => manager.streams.add(streamConfig(settings)), nameInUse);
    },
    async message(seq) {
      const stored = await call(() => manager.streams.getMessage(name, { seq }), noMessage);
      return stored === null ? null : stored.data;
    },
    async consumer(seq) {
      const consumer = nuid.next();
      await call(
        () =>
          manager.consumers.add(name, {
            name: consumer,
            deliver_policy: DeliverPolicy.StartSequence,
            opt_start_seq: seq,
            ack_policy: AckPolicy.None,
            replay_policy: ReplayPolicy.Instant,
            inactive_threshold: nanos(consumerInactiveMs),
            mem_storage: true,
            num_replicas: 1,
          }),
        nameInUse,
      );
      return consumer;
    },
  };
}
