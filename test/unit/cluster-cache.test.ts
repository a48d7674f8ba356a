// The cache of the bundled cluster: an entry is whole or not there, whatever happens to its makers.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { exists, makeEntry } from '../cluster/cache.ts';
import { run } from '../cluster/command.ts';
import { mountsBelow, removeTree } from '../cluster/mounts.ts';

/** Larger than any process id of Linux. */
const deadProcess = 2 ** 23;
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-cache-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('an entry of the cache', () => {
  test('appears at its place only when it is whole', async () => {
    const path = join(directory, 'part', 'entry');
    await makeEntry(path, async (partial) => {
      await writeFile(partial, 'half');
      expect(await exists(path)).toBe(false);
      await writeFile(partial, 'whole');
    });
    expect(await readFile(path, 'utf8')).toBe('whole');
    expect(await readdir(join(directory, 'part'))).toEqual(['entry']);
  });

  test('is not there when its maker failed, and nor is anything else', async () => {
    const making = makeEntry(join(directory, 'entry'), async (partial) => {
      await writeFile(partial, 'half');
      throw new Error('broken');
    });
    await expect(making).rejects.toThrow('broken');
    expect(await readdir(directory)).toEqual([]);
  });

  test('is rid of what dead makers left beside it, and leaves the living alone', async () => {
    const living = `other.partial-${String(process.ppid)}`;
    await writeFile(join(directory, living), 'at work');
    await writeFile(join(directory, `entry.partial-${String(deadProcess)}`), 'left behind');
    await makeEntry(join(directory, 'entry'), async (partial) => writeFile(partial, 'whole'));
    expect((await readdir(directory)).sort()).toEqual(['entry', living]);
  });

  test('may be a directory that another maker has put there meanwhile', async () => {
    const path = join(directory, 'entry');
    await makeEntry(path, async (partial) => {
      await mkdir(partial);
      await mkdir(path);
      await writeFile(join(path, 'file'), 'theirs');
    });
    expect(await readFile(join(path, 'file'), 'utf8')).toBe('theirs');
    expect(await readdir(directory)).toEqual(['entry']);
  });

  test('is made anew where a dead maker with the same process id has left half of it', async () => {
    const left = join(directory, `entry.partial-${String(process.pid)}`);
    await mkdir(left);
    await writeFile(join(left, 'half'), '');
    await makeEntry(join(directory, 'entry'), async (partial) => mkdir(partial));
    expect(await readdir(join(directory, 'entry'))).toEqual([]);
  });

  testAsRoot('is rid of what a dead maker has left mounted, and not of what is behind the mount', async () => {
    const left = join(directory, `entry.partial-${String(deadProcess)}`);
    const [mountPoint, elsewhere] = [join(left, 'a mount'), join(directory, 'elsewhere')];
    await mkdir(mountPoint, { recursive: true });
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'file'), 'of somebody else');
    await run('mount', ['--bind', elsewhere, mountPoint]);
    try {
      expect(await mountsBelow(left)).toEqual([mountPoint]);
      await makeEntry(join(directory, 'entry'), async (partial) => writeFile(partial, 'whole'));
      expect((await readdir(directory)).sort()).toEqual(['elsewhere', 'entry']);
      expect(await readdir(elsewhere)).toEqual(['file']);
    } finally {
      await removeTree(left);
    }
  });
});
