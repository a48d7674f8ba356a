// The promise (the highest epoch that this member has voted for or accepted a frame of) in a file of its own, replaced whole.
// The file exists from the first opening on: a journal that has segments but no promise was tampered with or half restored.
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { epochSchema, noEpoch, type Epoch } from '../../common/position.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';

const fileName = 'promise';
const formatVersion = 1;
const maxFileBytes = 4096;
const versioned = z.object({ version: z.int() });
const content = z.strictObject({ version: z.literal(formatVersion), promise: epochSchema });

const checksumOf = (line: string): string => crc32(line).toString(16).padStart(8, '0');

/** Rejects with AppError disk_full; the promise of before is then still in force. */
export async function writePromise(disk: Disk, directory: string, promise: Epoch): Promise<void> {
  const line = JSON.stringify({ version: formatVersion, promise });
  await replaceFile(disk, directory, fileName, [Buffer.from(`${line}\n${checksumOf(line)}\n`)]);
}

/** Reads the promise; makes the file when the journal is `fresh`. Throws AppError journal_corrupt or journal_version. */
export async function readPromise(disk: Disk, directory: string, fresh: boolean): Promise<Epoch> {
  const path = join(directory, fileName);
  const names = await disk.list(directory);
  if (!names.includes(fileName)) {
    if (!fresh) throw new AppError('journal_corrupt', `${path} is missing beside a log`);
    await writePromise(disk, directory, noEpoch);
    return noEpoch;
  }
  return decodePromise(await withFile(disk, path, 'read', (file) => file.read(0, maxFileBytes)), path);
}

/** Throws AppError journal_corrupt or journal_version. */
export function decodePromise(bytes: Buffer, path: string): Epoch {
  const [line = '', checksum = ''] = bytes.toString('utf8').split('\n');
  if (checksum !== checksumOf(line)) throw new AppError('journal_corrupt', `${path} at offset 0: does not match its checksum`);
  const value = parseJson(line);
  const version = versioned.safeParse(value).data?.version;
  if (version !== undefined && version !== formatVersion)
    throw new AppError('journal_version', `${path} has format version ${String(version)}; this program knows ${String(formatVersion)}`);
  const parsed = content.safeParse(value);
  if (!parsed.success) throw new AppError('journal_corrupt', `${path} at offset 0: is not a promise`, parsed.error);
  return Object.freeze(parsed.data.promise);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
