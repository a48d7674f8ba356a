// The hard state (promise, identity of the disk, sessions) in a file of its own, replaced whole.
// The file exists from the first opening on: a journal that has segments but no hard state was tampered with or half restored.
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { epochSchema } from '../../common/position.ts';
import { emptyHardState, type HardState } from '../core/hard-state.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';

const fileName = 'hard-state';
const formatVersion = 1;
const maxFileBytes = 4096;
const versioned = z.object({ version: z.int() });
const content = z.strictObject({
  version: z.literal(formatVersion),
  promise: epochSchema,
  incarnation: z.string().max(32),
  session: z.string().max(64),
  recordedSession: z.string().max(64),
});

const checksumOf = (line: string): string => crc32(line).toString(16).padStart(8, '0');

/** Rejects with AppError disk_full; the hard state of before is then still in force. */
export async function writeHardState(disk: Disk, directory: string, hardState: HardState): Promise<void> {
  const line = JSON.stringify({ version: formatVersion, ...hardState });
  await replaceFile(disk, directory, fileName, [Buffer.from(`${line}\n${checksumOf(line)}\n`)]);
}

/** Reads the hard state; makes the file when the journal is `fresh`. Throws AppError journal_corrupt or journal_version. */
export async function readHardState(disk: Disk, directory: string, fresh: boolean): Promise<HardState> {
  const path = join(directory, fileName);
  const names = await disk.list(directory);
  if (!names.includes(fileName)) {
    if (!fresh) throw new AppError('journal_corrupt', `${path} is missing beside a log`);
    await writeHardState(disk, directory, emptyHardState);
    return emptyHardState;
  }
  return decodeHardState(await withFile(disk, path, 'read', (file) => file.read(0, maxFileBytes)), path);
}

/** Throws AppError journal_corrupt or journal_version. */
export function decodeHardState(bytes: Buffer, path: string): HardState {
  const [line = '', checksum = ''] = bytes.toString('utf8').split('\n');
  if (checksum !== checksumOf(line)) throw new AppError('journal_corrupt', `${path} at offset 0: does not match its checksum`);
  const value = parseJson(line);
  const version = versioned.safeParse(value).data?.version;
  if (version !== undefined && version !== formatVersion)
    throw new AppError('journal_version', `${path} has format version ${String(version)}; this program knows ${String(formatVersion)}`);
  const parsed = content.safeParse(value);
  if (!parsed.success) throw new AppError('journal_corrupt', `${path} at offset 0: is not a hard state`, parsed.error);
  const { version: _version, ...hardState } = parsed.data;
  return Object.freeze(hardState);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
