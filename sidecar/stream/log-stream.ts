// The JetStream stream of a cluster as the runtime's `LogStream`: one frame outstanding, and an unknown outcome is resolved before anything else.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import { AppError, isAppError } from '../../common/errors.ts';
import { limits, type Frame, type Sha256 } from '../core/frame.ts';
import type { LogStream, PublishOutcome, StreamEvent } from '../ports.ts';
import { headerBytes, type NatsLink } from './connection.ts';
import { askJetStream, createStream, errorCodes, messageAt, streamState } from './jetstream-api.ts';
import { StreamReader } from './stream-reader.ts';

const publishRetryMs = 100;
const acknowledgementSchema = z.object({ seq: z.int() });

export interface LogStreamOptions {
  readonly link: NatsLink;
  readonly stream: string;
  readonly subject: string;
  readonly replicas: number;
  /** An electable member creates the stream; a DR replica waits for it. */
  readonly mayCreate: boolean;
  readonly sha256: Sha256;
  readonly log: Logger;
}

export function createLogStream(options: LogStreamOptions): LogStream & { close: () => void } {
  const { link, stream, subject } = options;
  let reader: StreamReader | null = null;
  let known = false;
  let refused = '';

  const ensureStream = async (): Promise<boolean> => {
    if (known && (await streamState(link, stream)) !== null) return true;
    known = (await streamState(link, stream)) !== null;
    if (known || !options.mayCreate) return known;
    const answer = await createStream(link, {
      stream,
      subject,
      replicas: options.replicas,
      maxMessageBytes: limits.frameBytes + headerBytes,
    });
    known = answer.kind === 'ok' || answer.code === errorCodes.streamNameInUse;
    if (answer.kind === 'error' && !known && refused !== answer.description) {
      refused = answer.description;
      options.log.error({ stream, reason: refused }, 'stream cannot be created');
    }
    return known;
  };

  /** The frame stands at `seq`, or something else does. */
  const outcomeAt = async (frame: Frame, seq: number): Promise<PublishOutcome> => {
    const bytes = await messageAt(link, stream, seq);
    if (bytes !== null && Buffer.compare(bytes, frame.bytes) === 0) return { kind: 'stored', seq };
    return { kind: 'conflict', lastSeq: (await streamState(link, stream))?.lastSeq ?? 0 };
  };

  const publishOnce = async (frame: Frame, expectedSeq: number): Promise<PublishOutcome | null> => {
    const answer = await askJetStream(link, subject, frame.bytes, expectedSeq);
    if (answer.kind === 'ok') {
      const { seq } = acknowledgementSchema.parse(answer.body);
      return seq === expectedSeq + 1 ? { kind: 'stored', seq } : { kind: 'conflict', lastSeq: seq };
    }
    return answer.code === errorCodes.wrongLastSequence ? outcomeAt(frame, expectedSeq + 1) : null;
  };

  return {
    read(afterSeq: number, hash: string, onEvent: (event: StreamEvent) => void) {
      reader?.close();
      reader = new StreamReader({ link, stream, sha256: options.sha256, log: options.log, ensureStream, onEvent }, afterSeq, hash);
    },
    async lastSeq() {
      const state = await streamState(link, stream);
      if (state === null) throw new AppError('stream_unavailable', `the stream ${stream} does not exist yet`);
      return state.lastSeq;
    },
    async publish(frame, expectedSeq, signal) {
      while (!signal.aborted) {
        try {
          const outcome = await publishOnce(frame, expectedSeq);
          if (outcome !== null) return outcome;
        } catch (error) {
          if (!isAppError(error)) throw error;
          options.log.debug({ detail: error.detail, index: frame.index }, 'publish not answered');
        }
        await delay(publishRetryMs, undefined, { signal }).catch(() => undefined);
      }
      return { kind: 'unknown' };
    },
    close() {
      reader?.close();
    },
  };
}
