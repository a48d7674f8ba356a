// The cache outside the checkout: what takes long to make is made once a machine. Each entry is made beside its place and renamed into it, so that
// what is there is whole, and two makers at once do no harm. All of it may be deleted at any time.

import { access, mkdir, readdir, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { removeTree } from './mounts.ts';

const partialPattern = /\.partial-(\d+)$/;

/** `$XDG_CACHE_HOME/controlcluster`, by default `~/.cache/controlcluster`. */
export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'controlcluster');
}

/** Makes the file or directory at `path` by way of another path, which is gone afterwards; also what makers that died have left of it. */
export async function makeEntry(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.partial-${String(process.pid)}`;
  await mkdir(dirname(path), { recursive: true });
  await sweep(dirname(path));
  // A maker that died may have had this process id.
  await removeTree(partial);
  try {
    await make(partial);
    if (await exists(partial))
      await rename(partial, path).catch(async (error: unknown) => {
        // A directory that another maker has put there meanwhile is as good.
        if (!(await exists(path))) throw error;
      });
  } finally {
    await removeTree(partial);
  }
}

/** Runs the work with the path of a directory of its own, which is gone afterwards. */
export async function inScratch(name: string, work: (directory: string) => Promise<void>): Promise<void> {
  await makeEntry(join(cacheDirectory(), 'scratch', name), async (directory) => {
    await mkdir(directory);
    await work(directory);
    await removeTree(directory);
  });
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** What a child of a dead maker still writes to stays, for the next time. */
async function sweep(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const maker = partialPattern.exec(basename(name))?.[1];
    if (maker !== undefined && !(await exists(`/proc/${maker}`))) await removeTree(join(directory, name)).catch(() => undefined);
  }
}
