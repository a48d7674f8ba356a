// A checkpoint in a file: the whole state at one frame, in the bytes in which a snapshot of it travels too (ADR 11).
//   header: magic (8), format version (4), CRC-32 of both (4)
//   blocks: kind (1), length of the payload (4), CRC-32 of kind, length and payload (4), payload as JSON
// The head, then entries in code-unit order of key, then receipts in order of UID, then the footer: counts, and SHA-256 over all before it.
// One state at one frame has one form, so that this SHA-256 names it on every member. What does not verify is never served.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { limits } from '../core/frame.ts';
import { snapshotHeadSchema, type SnapshotHead, type StateRecord } from '../core/snapshot.ts';
import { withFile, type Disk, type DiskFile } from './disk.ts';

const magic = Buffer.from('CCCHKPNT', 'latin1');
const formatVersion = 1;
const fileHeaderBytes = 16;
const blockHeaderBytes = 9;
/** Characters of JSON after which a block of records is closed. */
const blockFillChars = 64 * 1024;
/** More than the longest record and a nearly full block: JSON that is parsed and written again grows less than fivefold. */
const maxBlockBytes = 5 * limits.frameBytes + 3 * blockFillChars;

const kinds = { head: 'H', entries: 'E', receipts: 'R', footer: 'F' } as const;
/** What may follow what; the file begins with nothing before the head. */
const followers: Readonly<Record<string, string>> = { '': 'H', H: 'ERF', E: 'ERF', R: 'RF', F: '' };

const footerSchema = z.strictObject({ entries: z.int().min(0), receipts: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** A checkpoint whose bytes verify. Plain data, so that a worker can be told of it. */
export interface CheckpointFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly head: SnapshotHead;
}

function encodeFileHeader(): Buffer {
  const header = Buffer.alloc(fileHeaderBytes);
  magic.copy(header);
  header.writeUInt32BE(formatVersion, 8);
  header.writeUInt32BE(crc32(header.subarray(0, 12)), 12);
  return header;
}

function encodeBlock(kind: string, json: string): Buffer {
  const length = Buffer.byteLength(json);
  const block = Buffer.allocUnsafe(blockHeaderBytes + length);
  block.write(kind, 0, 'latin1');
  block.writeUInt32BE(length, 1);
  block.write(json, blockHeaderBytes);
  block.writeUInt32BE(blockChecksum(block, block.subarray(blockHeaderBytes)), 5);
  return block;
}

const blockChecksum = (header: Buffer, payload: Buffer): number => crc32(payload, crc32(header.subarray(0, 5)));

/** The bytes of the file, piece by piece. `records` are in the order of the format. */
export async function* encodeCheckpoint(head: SnapshotHead, records: AsyncIterable<StateRecord>): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const hashed = (bytes: Buffer): Buffer => {
    hash.update(bytes);
    return bytes;
  };
  yield hashed(encodeFileHeader());
  yield hashed(encodeBlock(kinds.head, JSON.stringify(head)));
  const counts = { entries: 0, receipts: 0 };
  const items: string[] = [];
  let [kind, chars]: [keyof typeof counts, number] = ['entries', 0];
  const closeBlock = (): Buffer => hashed(encodeBlock(kinds[kind], `[${items.splice(0).join()}]`));
  for await (const { kind: recordKind, ...record } of records) {
    const next = recordKind === 'entry' ? 'entries' : 'receipts';
    if (items.length > 0 && (chars > blockFillChars || next !== kind)) yield closeBlock();
    if (items.length === 0) [kind, chars] = [next, 0];
    const json = JSON.stringify(record);
    items.push(json);
    chars += json.length;
    counts[kind] += 1;
  }
  if (items.length > 0) yield closeBlock();
  yield encodeBlock(kinds.footer, JSON.stringify({ ...counts, sha256: hash.digest('hex') }));
}

interface Block {
  readonly kind: string;
  readonly value: () => unknown;
  readonly offset: number;
  /** Of the whole file up to here. */
  readonly sha256: string | null;
}

const corrupt = (path: string, offset: number, what: string): AppError =>
  new AppError('journal_corrupt', `${path} at offset ${String(offset)}: ${what}`);

/** Blocks in order, each verified; it ends only after a footer whose sum holds and that ends the file. */
async function* readBlocks(file: DiskFile, path: string): AsyncGenerator<Block> {
  const fileBytes = await file.size();
  const hash = createHash('sha256');
  const fileHeader = await file.read(0, fileHeaderBytes);
  verifyFileHeader(fileHeader, path);
  hash.update(fileHeader);
  let offset = fileHeaderBytes;
  for (let before = ''; before !== kinds.footer;) {
    const start = offset;
    const header = await file.read(start, blockHeaderBytes);
    if (header.length < blockHeaderBytes) throw corrupt(path, start, 'ends before its footer');
    const length = header.readUInt32BE(1);
    if (length > maxBlockBytes || start + blockHeaderBytes + length > fileBytes)
      throw corrupt(path, start, `block claims ${String(length)} bytes`);
    const payload = await file.read(start + blockHeaderBytes, length);
    if (blockChecksum(header, payload) !== header.readUInt32BE(5)) throw corrupt(path, start, 'block does not match its checksum');
    const kind = header.toString('latin1', 0, 1);
    if (!(followers[before] ?? '').includes(kind)) throw corrupt(path, start, 'block stands in the wrong place');
    const value = (): unknown => parseJson(payload, path, start);
    let sha256: string | null = null;
    if (kind === kinds.footer) sha256 = hash.digest('hex');
    else hash.update(header).update(payload);
    offset = start + blockHeaderBytes + length;
    if (sha256 !== null && offset !== fileBytes) throw corrupt(path, offset, 'goes on after its footer');
    yield { kind, value, offset: start, sha256 };
    before = kind;
  }
}

function verifyFileHeader(header: Buffer, path: string): void {
  if (header.length < fileHeaderBytes) throw corrupt(path, 0, 'ends inside its header');
  if (magic.compare(header, 0, magic.length) !== 0) throw corrupt(path, 0, 'is not a checkpoint');
  if (header.readUInt32BE(12) !== crc32(header.subarray(0, 12))) throw corrupt(path, 0, 'header does not match its checksum');
  const version = header.readUInt32BE(8);
  if (version !== formatVersion)
    throw new AppError('journal_version', `${path} has format version ${String(version)}; this program knows ${String(formatVersion)}`);
}

function parseJson(payload: Buffer, path: string, offset: number): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (error) {
    throw new AppError('journal_corrupt', `${path} at offset ${String(offset)}: block is not JSON`, error);
  }
}

function parsed<T>(schema: z.ZodType<T>, block: Block, path: string): T {
  const result = schema.safeParse(block.value());
  if (!result.success) throw new AppError('journal_corrupt', `${path} at offset ${String(block.offset)}: is not of the form`, result.error);
  return result.data;
}

/** Verifies every byte, but not the form of the records. Throws AppError journal_corrupt or journal_version. */
export async function inspectCheckpoint(disk: Disk, path: string): Promise<CheckpointFile> {
  return withFile(disk, path, 'read', async (file) => {
    let head: SnapshotHead | null = null;
    for await (const block of readBlocks(file, path)) {
      if (block.kind === kinds.head) head = parsed(snapshotHeadSchema, block, path);
      if (block.sha256 === null) continue;
      if (parsed(footerSchema, block, path).sha256 !== block.sha256)
        throw corrupt(path, block.offset, 'content does not match its SHA-256');
      if (head !== null) return { path, head, sha256: block.sha256, bytes: await file.size() };
    }
    throw corrupt(path, 0, 'has no footer');
  });
}

/** The records of a checkpoint, each in its place; none of `null`. Throws AppError journal_corrupt when the disk gives what is none. */
export async function* readRecords(disk: Disk, checkpoint: CheckpointFile | null): AsyncGenerator<StateRecord> {
  if (checkpoint === null) return;
  const { path, head, sha256 } = checkpoint;
  const file = await disk.open(path, 'read');
  try {
    const counts = { entries: 0, receipts: 0 };
    let [lastKey, lastUid]: [string | null, number] = [null, 0];
    for await (const block of readBlocks(file, path)) {
      if (block.kind === kinds.footer) {
        const { entries, receipts } = parsed(footerSchema, block, path);
        if (entries !== counts.entries || receipts !== counts.receipts || block.sha256 !== sha256)
          throw corrupt(path, block.offset, 'footer names other content');
      }
      if (block.kind !== kinds.entries && block.kind !== kinds.receipts) continue;
      const items = block.value();
      if (!Array.isArray(items)) throw corrupt(path, block.offset, 'block is no list');
      for (const item of items as unknown[]) {
        const record = toRecord(item, head.position.uid);
        const inOrder = record?.kind === 'entry' ? lastKey === null || lastKey < record.key : record !== null && lastUid < record.uid;
        if (record === null || !inOrder || (record.kind === 'entry') !== (block.kind === kinds.entries))
          throw corrupt(path, block.offset, 'record is not of the form, or not in its place');
        if (record.kind === 'entry') [lastKey, counts.entries] = [record.key, counts.entries + 1];
        else [lastUid, counts.receipts] = [record.uid, counts.receipts + 1];
        yield record;
      }
    }
  } finally {
    await file.close();
  }
}

/** By hand: there may be millions, and their bytes are known to be those that were written. */
function toRecord(item: unknown, maxUid: number): StateRecord | null {
  if (typeof item !== 'object' || item === null) return null;
  const { key, value, idempotencyKey, uid, epoch } = item as Partial<Record<string, StateValue>>;
  if (typeof uid !== 'number' || !Number.isInteger(uid) || uid < 1 || uid > maxUid) return null;
  if (typeof key === 'string' && value !== undefined) return { kind: 'entry', key, value, uid };
  return typeof idempotencyKey === 'string' && typeof epoch === 'number' ? { kind: 'receipt', idempotencyKey, uid, epoch } : null;
}
type StateValue = Extract<StateRecord, { kind: 'entry' }>['value'];
