// Snapshots in NATS, as messages of a stream of their own: chunks, and last a manifest. A snapshot is there when its manifest is (ADR 11).
// Two are kept, each on one of two subjects. A new one is written on the subject that does not hold the newest, each message behind an expected
// last sequence: its first message stops whoever else was writing, and only then is what lies before it on its subject removed. So nothing
// removes what is newer than itself, however late it is carried out. Which state a snapshot holds is not known here.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Sha256 } from '../core/frame.ts';
import type { Clock, SnapshotStore } from '../ports.ts';
import type { JetStream, JetStreamConnection } from './jetstream-port.ts';
import { MessagePublisher } from './publisher.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage, type Manifest, type SnapshotMessage } from './snapshot-message.ts';

const maxChunkBytes = 512 * 1024;
/** The manifest with a SHA-256 for each stays below the size of a message. */
const maxChunks = 8192;

export interface SnapshotStoreOptions {
  /** Of a stream with both subjects. */
  readonly jetstream: JetStream;
  readonly subjects: readonly [string, string];
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly log: Logger;
}

interface NewestSnapshot {
  /** Of the stream. */
  readonly lastSeq: number;
  readonly manifest: (Manifest & { readonly seq: number }) | null;
}

/** `close` ends what is being put; `jetstream` is the caller's. */
export function createSnapshotStore(options: SnapshotStoreOptions): SnapshotStore & { close(): void } {
  const { jetstream, sha256, log } = options;
  const publisher = new MessagePublisher(options);
  /** The one that was read last. */
  let known: Manifest | null = null;

  const connection = (): JetStreamConnection => {
    const { state } = jetstream;
    if (state.kind === 'disconnected') throw new AppError('stream_unavailable', state.reason);
    return state.connection;
  };

  const messageAt = async (seq: number): Promise<SnapshotMessage | null> => {
    const bytes = seq === 0 ? null : await connection().message(seq);
    const message = bytes === null ? null : decodeSnapshotMessage(bytes);
    if (bytes !== null && message === null) log.error({ seq }, 'stream of snapshots holds a message of an unknown form');
    return message;
  };

  const manifestAt = async (seq: number): Promise<(Manifest & { readonly seq: number }) | null> => {
    const head = (await messageAt(seq))?.head;
    return head?.kind === 'manifest' ? { ...head, seq } : null;
  };

  const newest = async (): Promise<NewestSnapshot | null> => {
    const ends = await connection().ends();
    if (ends === null) return null;
    const head = (await messageAt(ends.lastSeq))?.head;
    const seq = head?.kind === 'chunk' ? head.previous : ends.lastSeq;
    return { lastSeq: ends.lastSeq, manifest: await manifestAt(seq) };
  };

  const append = async (subject: string, bytes: Uint8Array, afterSeq: number, signal: AbortSignal): Promise<void> => {
    const outcome = await publisher.publish(subject, bytes, afterSeq, signal);
    if (outcome.kind === 'conflict') throw new AppError('stream_unavailable', 'Another member stores a snapshot at this time.');
    if (outcome.kind === 'unknown') throw new AppError('stream_unavailable', 'The snapshot was given up before it was stored whole.');
  };

  return {
    async put(id, totalBytes, chunks, signal) {
      if ((await newest()) === null) await connection().create();
      const { lastSeq = 0, manifest = null } = (await newest()) ?? {};
      const slot = manifest?.slot === 0 ? 1 : 0;
      const subject = options.subjects[slot];
      const firstSeq = lastSeq + 1;
      const previous = manifest?.seq ?? 0;
      const hashes: string[] = [];
      let storedBytes = 0;
      for await (const bytes of chunks) {
        const chunk = hashes.length;
        if (bytes.length === 0 || bytes.length > maxChunkBytes) throw new Error('a chunk is not of 1 byte to 512 KiB');
        if (chunk === maxChunks) throw new Error('the snapshot has too many chunks');
        await append(subject, encodeSnapshotMessage({ kind: 'chunk', id, chunk, previous }, bytes), lastSeq + chunk, signal);
        // Nobody writes below it any more.
        if (chunk === 0) await connection().purge(subject, firstSeq);
        hashes.push(sha256(bytes));
        storedBytes += bytes.length;
      }
      if (storedBytes !== totalBytes) throw new Error('the chunks are not as many bytes as were said');
      const whole = encodeSnapshotMessage({ kind: 'manifest', id, totalBytes, firstSeq, slot, chunks: hashes, previous });
      await append(subject, whole, lastSeq + hashes.length, signal);
    },
    async latest() {
      const manifest = (await newest())?.manifest ?? null;
      return manifest === null ? null : { id: manifest.id, totalBytes: manifest.totalBytes, chunks: manifest.chunks.length };
    },
    async read(id, chunk) {
      if (known?.id !== id) {
        const manifest = (await newest())?.manifest ?? null;
        known = manifest?.id === id ? manifest : await manifestAt(manifest?.previous ?? 0);
        if (known?.id !== id) known = null;
      }
      const expected = known?.chunks[chunk];
      if (known === null || expected === undefined) return null;
      const message = await messageAt(known.firstSeq + chunk);
      if (message !== null && sha256(message.bytes) === expected) return message.bytes;
      if (message !== null) log.error({ id, chunk }, 'chunk of a snapshot does not verify');
      // Another of the same name may have been stored meanwhile.
      known = null;
      return null;
    },
    close() {
      publisher.close();
    },
  };
}
