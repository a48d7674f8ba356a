// Compressed copies for the archive (K12): of a checkpoint byte for byte, or of the frames of a journal that has none yet, one a line as it stands in the
// stream. Each has its SHA-256 beside it, as an archived tail has. The caller says when, and how many are kept.
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Position } from '../../common/position.ts';
import type { Frame } from '../core/frame.ts';
import type { ArchivedCopy, CopyRetention } from '../ports.ts';
import { archiveFile, listSummed, removeArchive } from './archive.ts';
import { withFile, type Disk } from './disk.ts';
import type { SegmentReader } from './stretch.ts';

/** More are never kept, whatever the caller says. */
const maxCopies = 1000;
const pieceBytes = 1024 * 1024;

const nameForm = /^(copy|state)-(\d{16})-(\d{1,16})-[0-9a-f]{8}\.(checkpoint|frames)\.gz$/;

/** What is to be copied: where its log stands, and its bytes. */
export interface CopySource {
  readonly kind: 'checkpoint' | 'frames';
  readonly position: Pick<Position, 'uid' | 'hash'>;
  readonly content: AsyncIterable<Uint8Array>;
}

/** Gzip members of the content, in order. */
export type Compress = (content: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

/** Beside the main thread. A failure of the content is thrown by what reads the other end. */
export const gzip: Compress = (content) => pipeline(content, createGzip(), () => undefined) as AsyncIterable<Buffer>;

export async function* fileContent(disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; offset += pieceBytes) {
    const bytes = await withFile(disk, path, 'read', (file) => file.read(offset, pieceBytes));
    if (bytes.length === 0) return;
    yield bytes;
  }
}

export async function* frameLines(frames: AsyncIterable<Frame>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of frames) {
    yield bytes;
    yield Buffer.from('\n');
  }
}

/** Rejects with AppError disk_full; nothing is left then. */
export async function archiveCopy(
  disk: Disk,
  directory: string,
  source: CopySource,
  timeMs: number,
  kind: ArchivedCopy['kind'],
  compress: Compress,
): Promise<ArchivedCopy> {
  const { uid, hash } = source.position;
  const id = `${kind}-${String(timeMs).padStart(16, '0')}-${String(uid)}-${hash.slice(0, 8)}.${source.kind}`;
  const sum = createHash('sha256');
  async function* summed(): AsyncGenerator<Uint8Array> {
    for await (const bytes of compress(source.content)) {
      sum.update(bytes);
      yield bytes;
    }
  }
  const sha256 = await archiveFile(disk, directory, `${id}.gz`, summed(), sum);
  return { kind, id, timeMs, uid, sha256 };
}

/** The copies that stand there with their sum, in order of their time. */
export async function listCopies(disk: Disk, directory: string, log: SegmentReader['log']): Promise<ArchivedCopy[]> {
  const copies: ArchivedCopy[] = [];
  for (const { name, sha256 } of await listSummed(disk, directory, nameForm, log)) {
    const [, kind, timeMs, uid] = nameForm.exec(name) ?? [];
    copies.push({
      kind: kind === 'state' ? 'state' : 'copy',
      id: name.slice(0, -'.gz'.length),
      timeMs: Number(timeMs),
      uid: Number(uid),
      sha256,
    });
  }
  return copies.sort((a, b) => a.timeMs - b.timeMs);
}

/** Removes what is too old or one too many; never the newest. */
export async function retireCopies(
  disk: Disk,
  directory: string,
  copies: readonly ArchivedCopy[],
  nowMs: number,
  { count, ageMs }: CopyRetention,
): Promise<void> {
  const kept = Math.max(1, Math.min(count, maxCopies));
  for (const [at, { id, timeMs }] of copies.slice(0, -1).entries())
    if (at < copies.length - kept || timeMs < nowMs - ageMs) await removeArchive(disk, directory, `${id}.gz`);
}
