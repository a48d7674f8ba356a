// The log of one cluster on NATS JetStream: the port LogStream, from the reader, the publisher and the API calls.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Sha256 } from '../core/frame.ts';
import type { LogStream } from '../ports.ts';
import type { NatsLink } from './connection.ts';
import { openStreamApi } from './jetstream.ts';
import { FramePublisher } from './publisher.ts';
import { StreamReader } from './reader.ts';

export interface LogStreamOptions {
  readonly link: NatsLink;
  readonly stream: string;
  readonly subject: string;
  /** Copies that JetStream keeps; used when the stream is created. */
  readonly replicas: number;
  /** False for a DR replica, which only waits for the stream (I4). */
  readonly mayCreate: boolean;
  readonly sha256: Sha256;
  readonly log: Logger;
}

/** `close` ends reading and publishing; the link is the caller's. */
export function createLogStream(options: LogStreamOptions): LogStream & { close(): void } {
  const { link, stream, subject, replicas, mayCreate, sha256, log } = options;
  const settings = { name: stream, subject, replicas };
  const publisher = new FramePublisher({ link, settings, log });
  const closing = new AbortController();
  let reading = new AbortController();
  return {
    read(afterSeq, hash, onEvent, room) {
      reading.abort();
      if (closing.signal.aborted) return;
      reading = new AbortController();
      void new StreamReader(afterSeq, hash, { link, settings, mayCreate, sha256, log, onEvent, room, signal: reading.signal }).run();
    },
    async lastSeq() {
      const { state } = link;
      if (state.kind === 'disconnected') throw new AppError('stream_unavailable', state.reason);
      const ends = await openStreamApi(state.connection, settings).then((api) => api.ends());
      if (ends === null) throw new AppError('stream_unavailable', 'The stream does not exist yet.');
      return ends.lastSeq;
    },
    async publish(frame, expectedSeq, signal) {
      const either = new AbortController();
      const abort = (): void => {
        either.abort();
      };
      signal.addEventListener('abort', abort);
      closing.signal.addEventListener('abort', abort);
      if (signal.aborted || closing.signal.aborted) abort();
      try {
        return await publisher.publish(frame, expectedSeq, either.signal);
      } finally {
        signal.removeEventListener('abort', abort);
        closing.signal.removeEventListener('abort', abort);
      }
    },
    close() {
      reading.abort();
      closing.abort();
      publisher.close();
    },
  };
}
