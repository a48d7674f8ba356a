// The archive of tails that a rewind took out of the log (I5): one file for each tail, one change a line as JSON, and its SHA-256 beside it
// in the form of sha256sum. A tail is archived before it is cut: after a crash in between, it may stand in the archive and still in the log.
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { lastUid, type Frame } from '../core/frame.ts';
import type { ArchivedTail } from '../ports.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';

/** Archives that are listed; older ones by name stay on disk. */
const maxListedArchives = 1000;
const maxSumFileBytes = 512;
const sumSuffix = '.sha256';

const nameForm = /^(diverged-\d+\.\d+-(\d+)-(\d+)-[0-9a-f]{8})\.ndjson$/;
const sumForm = /^([0-9a-f]{64}) {2}(\S+)\n$/;

const changeLines = (frame: Frame): string =>
  frame.changes
    .map((change, at) => {
      const { epoch, index, timeMs, firstUid } = frame;
      return `${JSON.stringify({ uid: firstUid + at, epoch, index, timeMs, ...change })}\n`;
    })
    .join('');

/** Archives the frames `first`..`last`, given in order by `frames`. Returns null, and writes nothing, when they hold no change. */
export async function archiveTail(
  disk: Disk,
  directory: string,
  first: Frame,
  last: Frame,
  frames: AsyncIterable<Frame>,
): Promise<ArchivedTail | null> {
  const changes = lastUid(last) - first.firstUid + 1;
  if (changes === 0) return null;
  const { generation, number } = last.epoch;
  const uids = `${String(first.firstUid)}-${String(lastUid(last))}`;
  const id = `diverged-${String(generation)}.${String(number)}-${uids}-${last.hash.slice(0, 8)}`;
  const hash = createHash('sha256');
  async function* lines(): AsyncGenerator<Uint8Array> {
    for await (const frame of frames) {
      const bytes = Buffer.from(changeLines(frame));
      hash.update(bytes);
      yield bytes;
    }
  }
  const sha256 = await archiveFile(disk, directory, tailFile(id), lines(), hash);
  return { kind: 'diverged', id, firstUid: first.firstUid, lastUid: lastUid(last), changes, sha256 };
}

/** File that holds an archived tail. */
export const tailFile = (id: string): string => `${id}.ndjson`;

/** Makes a file of the archive and its sum, both durable; `hash` has taken in all of `content` at its end. Rejects with AppError disk_full; nothing is left then. */
export async function archiveFile(
  disk: Disk,
  directory: string,
  name: string,
  content: AsyncIterable<Uint8Array>,
  hash: Hash,
): Promise<string> {
  await replaceFile(disk, directory, name, content);
  const sha256 = hash.digest('hex');
  try {
    await replaceFile(disk, directory, name + sumSuffix, [Buffer.from(`${sha256}  ${name}\n`)]);
  } catch (error) {
    await removeArchive(disk, directory, name);
    throw error;
  }
  return sha256;
}

/** For a rewind that did not come about: what it archived is still in the log. For a copy: it is kept no more. */
export async function removeArchive(disk: Disk, directory: string, name: string): Promise<void> {
  for (const each of [name, name + sumSuffix]) await disk.remove(join(directory, each));
}

/** The files of a form that stand there with their sum, by name; what lacks its partner is logged and left out. */
export async function listSummed(
  disk: Disk,
  directory: string,
  form: RegExp,
  log: Pick<Logger, 'warn'>,
): Promise<{ name: string; sha256: string }[]> {
  const names = new Set(await disk.list(directory));
  const files: { name: string; sha256: string }[] = [];
  for (const name of [...names]
    .filter((each) => form.test(each))
    .sort()
    .slice(-maxListedArchives)) {
    const sumName = name + sumSuffix;
    const sum = names.has(sumName) ? await withFile(disk, join(directory, sumName), 'read', (file) => file.read(0, maxSumFileBytes)) : '';
    const [, sha256, sumOf] = sumForm.exec(sum.toString()) ?? [];
    const numbers = name.match(/\d+/g) ?? [];
    if (sha256 === undefined || sumOf !== name || !numbers.every((text) => Number.isSafeInteger(Number(text))))
      log.warn({ file: name }, 'an archive has no valid checksum file');
    else files.push({ name, sha256 });
  }
  return files;
}

/** The archived tails in order of their first UID. */
export async function listTails(disk: Disk, directory: string, log: Pick<Logger, 'warn'>): Promise<ArchivedTail[]> {
  const tails: ArchivedTail[] = [];
  for (const { name, sha256 } of await listSummed(disk, directory, nameForm, log)) {
    const [, id = '', first, last] = nameForm.exec(name) ?? [];
    const [firstUid, lastUidOfTail] = [Number(first), Number(last)];
    tails.push({ kind: 'diverged', id, firstUid, lastUid: lastUidOfTail, changes: lastUidOfTail - firstUid + 1, sha256 });
  }
  return tails.sort((a, b) => a.firstUid - b.firstUid);
}
