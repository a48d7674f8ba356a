// Finds the snapshots that the stream holds whole: its last message leads to the newest manifest, and that one to the manifest before.
// A message of an unknown form leads nowhere. What is found may be removed at any time.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { JetStream, JetStreamConnection, StoredMessage } from './jetstream-port.ts';
import { decodeSnapshotMessage, type Manifest, type SnapshotMessage } from './snapshot-message.ts';

export interface SnapshotEnd {
  /** Of the stream. */
  readonly lastSeq: number;
  /** The manifest of the newest whole snapshot; 0 for none. */
  readonly manifestSeq: number;
  /** Its subject; the next snapshot takes the other one. */
  readonly slot: 0 | 1;
}

export const other = (slot: 0 | 1): 0 | 1 => (slot === 0 ? 1 : 0);

export class SnapshotIndex {
  readonly #jetstream: JetStream;
  readonly #log: Logger;

  constructor(jetstream: JetStream, log: Logger) {
    this.#jetstream = jetstream;
    this.#log = log;
  }

  get connection(): JetStreamConnection {
    const { state } = this.#jetstream;
    if (state.kind === 'disconnected') throw new AppError('stream_unavailable', state.reason);
    return state.connection;
  }

  /** Where the stream ends, `null` when there is no stream. */
  async end(): Promise<SnapshotEnd | null> {
    const ends = await this.connection.ends();
    if (ends === null) return null;
    const { firstSeq, lastSeq } = ends;
    const stored = lastSeq < firstSeq || lastSeq === 0 ? null : await this.connection.message(lastSeq);
    // Its name was told before: whoever answered now knows less. What lies at the end decides what may be overwritten.
    if (stored === null && lastSeq >= firstSeq && lastSeq > 0)
      throw new AppError(
        'stream_unavailable',
        'The last message of the stream of snapshots is not there; purge that stream if this lasts.',
      );
    const head = stored === null ? null : (this.#decode(lastSeq, stored)?.head ?? null);
    if (head === null) return { lastSeq, manifestSeq: 0, slot: 1 };
    if (head.kind === 'manifest') return { lastSeq, manifestSeq: lastSeq, slot: head.slot };
    return { lastSeq, manifestSeq: head.previous, slot: other(head.slot) };
  }

  async newest(): Promise<Manifest | null> {
    return this.manifest((await this.end())?.manifestSeq ?? 0);
  }

  async manifest(seq: number): Promise<Manifest | null> {
    const head = (await this.message(seq))?.head;
    return head?.kind === 'manifest' ? head : null;
  }

  async message(seq: number): Promise<SnapshotMessage | null> {
    const stored = seq === 0 ? null : await this.connection.message(seq);
    return stored === null ? null : this.#decode(seq, stored);
  }

  #decode(seq: number, { bytes }: StoredMessage): SnapshotMessage | null {
    const message = decodeSnapshotMessage(bytes);
    if (message === null) this.#log.error({ seq }, 'stream of snapshots holds a message of an unknown form');
    return message;
  }
}
