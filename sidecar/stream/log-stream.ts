// The log of one cluster on JetStream: the port LogStream, from the reader, the publisher and the calls of JetStream.
// Gives up nothing that was not just seen at its place. It does not know what a message says.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import { limits, type Sha256 } from '../core/frame.ts';
import type { Clock, LogStream } from '../ports.ts';
import type { JetStream, JetStreamConnection } from './jetstream-port.ts';
import { MessagePublisher } from './publisher.ts';
import { StreamReader } from './reader.ts';

export interface LogStreamOptions {
  readonly jetstream: JetStream;
  readonly stream: string;
  readonly subject: string;
  /** False for a DR replica, which only waits for the stream (I4). */
  readonly mayCreate: boolean;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly log: Logger;
}

/** `close` ends reading and publishing; `jetstream` is the caller's. */
export function createLogStream(options: LogStreamOptions): LogStream & { close(): void } {
  const { jetstream, subject } = options;
  const publisher = new MessagePublisher(options);
  let closed = false;
  let reading = new AbortController();
  let reader: StreamReader | null = null;
  const connection = (): JetStreamConnection => {
    const { state } = jetstream;
    if (state.kind === 'disconnected') throw new AppError('stream_unavailable', state.reason);
    return state.connection;
  };
  return {
    read(onEvent, room) {
      reading.abort();
      if (closed) return;
      reading = new AbortController();
      reader = new StreamReader({ ...options, onEvent, room, signal: reading.signal });
      void reader.run();
    },
    async lastSeq() {
      const ends = await connection().ends();
      if (ends === null) throw new AppError('stream_unavailable', 'The stream does not exist yet.');
      return ends.lastSeq;
    },
    async publish({ bytes }, expectedSeq, signal) {
      if (bytes.length > limits.messageBytes) throw new Error('the message is over the limit');
      return publisher.publish(subject, bytes, expectedSeq, signal);
    },
    async purge(beforeSeq) {
      const server = connection();
      const verifiedSeq = (await reader?.verifiedSeq(server)) ?? 0;
      if (beforeSeq > verifiedSeq) return { kind: 'refused', verifiedSeq };
      await server.purge(subject, beforeSeq);
      return { kind: 'purged' };
    },
    close() {
      closed = true;
      reading.abort();
      publisher.close();
    },
  };
}
