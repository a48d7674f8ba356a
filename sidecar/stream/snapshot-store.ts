// Snapshots in NATS, as messages of a stream of their own: chunks, and last a manifest. A snapshot is there when its manifest is (ADR 11).
// Two are kept, each on one of two subjects. A new one is written on the subject that does not hold the newest, each message behind an expected
// last sequence: its first message stops whoever else was writing, and only then is what lies before it on its subject removed. So nothing
// removes what is newer than itself, however late it is carried out. Which state a snapshot holds is said by who puts it.
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Sha256 } from '../core/frame.ts';
import type { Clock, SnapshotStore } from '../ports.ts';
import type { JetStream } from './jetstream-port.ts';
import { MessagePublisher } from './publisher.ts';
import { other, SnapshotIndex } from './snapshot-index.ts';
import { encodeSnapshotMessage, type Manifest } from './snapshot-message.ts';

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

/** `close` ends what is being put; `jetstream` is the caller's. */
export function createSnapshotStore(options: SnapshotStoreOptions): SnapshotStore & { close(): void } {
  const { jetstream, sha256, log } = options;
  const publisher = new MessagePublisher(options);
  const index = new SnapshotIndex(jetstream, log);
  /** The one that was read last. */
  let known: Manifest | null = null;

  const append = async (subject: string, bytes: Uint8Array, afterSeq: number, signal: AbortSignal): Promise<void> => {
    const outcome = await publisher.publish(subject, bytes, afterSeq, signal);
    if (outcome.kind === 'conflict') throw new AppError('stream_unavailable', 'Another member stores a snapshot at this time.');
    if (outcome.kind === 'unknown') throw new AppError('stream_unavailable', 'The snapshot was given up before it was stored whole.');
  };

  return {
    async put({ id, totalBytes, origin }, chunks, signal) {
      let end = await index.end();
      if (end === null) {
        await index.connection.create();
        end = await index.end();
      }
      if (end === null) throw new AppError('stream_unavailable', 'The stream of snapshots could not be created.');
      const { lastSeq, manifestSeq: previous } = end;
      const slot = other(end.slot);
      const subject = options.subjects[slot];
      const firstSeq = lastSeq + 1;
      const hashes: string[] = [];
      let storedBytes = 0;
      for await (const bytes of chunks) {
        const chunk = hashes.length;
        if (bytes.length === 0 || bytes.length > maxChunkBytes) throw new Error('a chunk is not of 1 byte to 512 KiB');
        if (chunk === maxChunks) throw new Error('the snapshot has too many chunks');
        await append(subject, encodeSnapshotMessage({ kind: 'chunk', id, slot, chunk, previous }, bytes), lastSeq + chunk, signal);
        // Nobody writes below it any more.
        if (chunk === 0) await index.connection.purge(subject, firstSeq);
        hashes.push(sha256(bytes));
        storedBytes += bytes.length;
      }
      if (storedBytes !== totalBytes) throw new Error('the chunks are not as many bytes as were said');
      const whole = encodeSnapshotMessage({ kind: 'manifest', id, totalBytes, firstSeq, origin, slot, chunks: hashes, previous });
      await append(subject, whole, lastSeq + hashes.length, signal);
    },
    async latest() {
      const manifest = await index.newest();
      if (manifest === null) return null;
      const { id, totalBytes, origin, chunks } = manifest;
      return { id, totalBytes, origin, chunks: chunks.length };
    },
    async read(id, chunk) {
      if (known?.id !== id) {
        const manifest = await index.newest();
        known = manifest?.id === id ? manifest : await index.manifest(manifest?.previous ?? 0);
        if (known?.id !== id) known = null;
      }
      const expected = known?.chunks[chunk];
      if (known === null || expected === undefined) return null;
      const message = await index.message(known.firstSeq + chunk);
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
