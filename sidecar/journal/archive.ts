// The archive of tails that a rewind took out of the log (I5): one file for each tail, one change a line as JSON, and its SHA-256 beside it
// in the form of sha256sum. A tail is archived before it is cut: after a crash in between, it may stand in the archive and still in the log.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { lastUid, type Frame } from '../core/frame.ts';
import type { ArchivedTail, LoggedFrame } from '../ports.ts';
import { replaceFile, withFile, type Disk } from './disk.ts';

/** Archives that are listed; older ones by name stay on disk. */
const maxListedArchives = 1000;
const maxSumFileBytes = 512;

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
  frames: AsyncIterable<LoggedFrame>,
): Promise<ArchivedTail | null> {
  const changes = lastUid(last) - first.firstUid + 1;
  if (changes === 0) return null;
  const { generation, number } = last.epoch;
  const uids = `${String(first.firstUid)}-${String(lastUid(last))}`;
  const id = `diverged-${String(generation)}.${String(number)}-${uids}-${last.hash.slice(0, 8)}`;
  const name = `${id}.ndjson`;
  const hash = createHash('sha256');
  async function* lines(): AsyncGenerator<Uint8Array> {
    for await (const { frame } of frames) {
      const bytes = Buffer.from(changeLines(frame));
      hash.update(bytes);
      yield bytes;
    }
  }
  await replaceFile(disk, directory, name, lines());
  const sha256 = hash.digest('hex');
  try {
    await replaceFile(disk, directory, `${name}.sha256`, [Buffer.from(`${sha256}  ${name}\n`)]);
  } catch (error) {
    await removeArchive(disk, directory, id);
    throw error;
  }
  return { id, firstUid: first.firstUid, lastUid: lastUid(last), changes, sha256 };
}

/** For a rewind that did not come about: what it archived is still in the log. */
export async function removeArchive(disk: Disk, directory: string, id: string): Promise<void> {
  for (const name of [`${id}.ndjson`, `${id}.ndjson.sha256`]) await disk.remove(join(directory, name));
}

/** The archives that stand there with their sum, in order of their first UID; what lacks its partner is logged and left out. */
export async function listArchives(disk: Disk, directory: string, log: Pick<Logger, 'warn'>): Promise<ArchivedTail[]> {
  const names = new Set(await disk.list(directory));
  const tails: ArchivedTail[] = [];
  for (const name of [...names]
    .filter((each) => nameForm.test(each))
    .sort()
    .slice(-maxListedArchives)) {
    const sumName = `${name}.sha256`;
    const sum = names.has(sumName) ? await withFile(disk, join(directory, sumName), 'read', (file) => file.read(0, maxSumFileBytes)) : '';
    const [, sha256, sumOf] = sumForm.exec(sum.toString()) ?? [];
    const [, id, firstUidText, lastUidText] = nameForm.exec(name) ?? [];
    const [first, last] = [Number(firstUidText), Number(lastUidText)];
    if (sha256 === undefined || sumOf !== name || id === undefined || !Number.isSafeInteger(first) || !Number.isSafeInteger(last)) {
      log.warn({ file: name }, 'an archive has no valid checksum file');
      continue;
    }
    tails.push({ id, firstUid: first, lastUid: last, changes: last - first + 1, sha256 });
  }
  return tails.sort((a, b) => a.firstUid - b.firstUid);
}
