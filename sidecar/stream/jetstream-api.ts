// The few requests of the JetStream API that a log needs, as plain requests over the shared connection. The library's consumers were seen to
// stall for half a minute after their server died; requests and pulls of our own are small and under our control.
// Each request is bounded; an error of JetStream is an outcome, silence is AppError stream_unavailable.
import { Empty, headers, NatsError, type NatsConnection } from 'nats';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { natsReason, type NatsLink } from './connection.ts';

export const streamRequestTimeoutMs = 2000;

export const errorCodes = { wrongLastSequence: 10_071, noMessage: 10_037, streamNotFound: 10_059, streamNameInUse: 10_058 } as const;

const errorSchema = z.object({ err_code: z.int(), description: z.string().max(1024) });
const answerSchema = z.looseObject({ error: errorSchema.optional() });

export type ApiAnswer =
  { readonly kind: 'ok'; readonly body: unknown } | { readonly kind: 'error'; readonly code: number; readonly description: string };

export function connectionOf(link: NatsLink): NatsConnection {
  if (link.state.kind === 'connected') return link.state.connection;
  throw new AppError('stream_unavailable', link.state.reason);
}

/** One request of the API, with an optional expectation for a publish. */
export async function askJetStream(link: NatsLink, subject: string, payload: Uint8Array, expectedLastSeq?: number): Promise<ApiAnswer> {
  const connection = connectionOf(link);
  const fields = headers();
  if (expectedLastSeq !== undefined) fields.set('Nats-Expected-Last-Sequence', String(expectedLastSeq));
  try {
    const answer = await connection.request(subject, payload, {
      timeout: streamRequestTimeoutMs,
      ...(expectedLastSeq === undefined ? {} : { headers: fields }),
    });
    const body: unknown = JSON.parse(answer.string());
    const parsed = answerSchema.safeParse(body);
    if (!parsed.success) throw new AppError('stream_unavailable', `${subject}: the answer is not of the form`);
    const { error } = parsed.data;
    return error === undefined ? { kind: 'ok', body } : { kind: 'error', code: error.err_code, description: error.description };
  } catch (error) {
    if (error instanceof NatsError || error instanceof SyntaxError)
      throw new AppError('stream_unavailable', `${subject}: ${natsReason(error)}`, error);
    throw error;
  }
}

const encoder = new TextEncoder();
const ask = (link: NatsLink, verb: string, body?: unknown): Promise<ApiAnswer> =>
  askJetStream(link, `$JS.API.${verb}`, body === undefined ? Empty : encoder.encode(JSON.stringify(body)));

const nanoseconds = (ms: number): number => ms * 1_000_000;

export interface StreamSettings {
  readonly stream: string;
  readonly subject: string;
  readonly replicas: number;
  readonly maxMessageBytes: number;
}

/** Creates the stream unless it is there; what is there is left as it is. */
export async function createStream(link: NatsLink, { stream, subject, replicas, maxMessageBytes }: StreamSettings): Promise<ApiAnswer> {
  return ask(link, `STREAM.CREATE.${stream}`, {
    name: stream,
    subjects: [subject],
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    max_msg_size: maxMessageBytes,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    discard: 'new',
    duplicate_window: nanoseconds(100),
    allow_direct: false,
    deny_delete: true,
  });
}

const infoSchema = z.object({ state: z.object({ first_seq: z.int(), last_seq: z.int() }) });

/** `null` when there is no such stream. Answered by the stream's leader. */
export async function streamState(link: NatsLink, stream: string): Promise<{ firstSeq: number; lastSeq: number } | null> {
  const answer = await ask(link, `STREAM.INFO.${stream}`);
  if (answer.kind === 'error') {
    if (answer.code === errorCodes.streamNotFound) return null;
    throw new AppError('stream_unavailable', answer.description);
  }
  const { state } = infoSchema.parse(answer.body);
  return { firstSeq: state.first_seq, lastSeq: state.last_seq };
}

const messageSchema = z.object({ message: z.object({ seq: z.int(), data: z.string().optional() }) });

/** The message at `seq`, from the stream's leader: a direct get may be served by a replica that lags. `null` when there is none. */
export async function messageAt(link: NatsLink, stream: string, seq: number): Promise<Uint8Array | null> {
  const answer = await ask(link, `STREAM.MSG.GET.${stream}`, { seq });
  if (answer.kind === 'error') {
    if (answer.code === errorCodes.noMessage || answer.code === errorCodes.streamNotFound) return null;
    throw new AppError('stream_unavailable', answer.description);
  }
  return Buffer.from(messageSchema.parse(answer.body).message.data ?? '', 'base64');
}

const consumerSchema = z.object({ name: z.string() });
const consumerInactiveMs = 30_000;

/** An ephemeral consumer that delivers from `fromSeq` on, without acknowledgements. */
export async function createConsumer(link: NatsLink, stream: string, fromSeq: number): Promise<string> {
  const answer = await ask(link, `CONSUMER.CREATE.${stream}`, {
    stream_name: stream,
    config: {
      deliver_policy: 'by_start_sequence',
      opt_start_seq: fromSeq,
      ack_policy: 'none',
      replay_policy: 'instant',
      inactive_threshold: nanoseconds(consumerInactiveMs),
      mem_storage: true,
      num_replicas: 1,
    },
  });
  if (answer.kind === 'error') throw new AppError('stream_unavailable', answer.description);
  return consumerSchema.parse(answer.body).name;
}

export const pullBatch = 256;
export const pullExpiresMs = 5000;
export const idleHeartbeatMs = 1000;

export function pull(connection: NatsConnection, stream: string, consumer: string, inbox: string): void {
  const body = { batch: pullBatch, expires: nanoseconds(pullExpiresMs), idle_heartbeat: nanoseconds(idleHeartbeatMs) };
  connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, encoder.encode(JSON.stringify(body)), { reply: inbox });
}

/** Best effort: an idle consumer ends by itself. */
export function deleteConsumer(connection: NatsConnection, stream: string, consumer: string): void {
  if (!connection.isClosed()) connection.publish(`$JS.API.CONSUMER.DELETE.${stream}.${consumer}`);
}

/** The stream sequence in the reply subject of a delivered message; `null` when it is none. */
export function deliveredSeq(reply: string | undefined): number | null {
  const parts = reply?.split('.') ?? [];
  if (parts[0] !== '$JS' || parts[1] !== 'ACK') return null;
  // `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.…`, or with domain and account before the stream.
  const seq = Number(parts.length > 9 ? parts[7] : parts[5]);
  return Number.isSafeInteger(seq) && seq > 0 ? seq : null;
}
