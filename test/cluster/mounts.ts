// What is mounted below a directory, by the kernel's own table, and how a directory goes that may have something mounted in it: never by
// way of a mount, behind which are files of somebody else.

import { readFile, realpath, rm } from 'node:fs/promises';
import { attempt, ClusterError, run } from './command.ts';

/** In the order in which they were mounted. */
export async function mountsBelow(directory: string): Promise<string[]> {
  // The table has no links in its paths.
  const real = await realpath(directory).catch(() => directory);
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const paths = table.split('\n').map((line) => line.split(' ')[4] ?? '');
  return paths
    .map((path) => path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
    .filter((path) => path.startsWith(`${real}/`));
}

export async function unmountBelow(directory: string): Promise<void> {
  for (const path of (await mountsBelow(directory)).toReversed()) {
    if ((await attempt('umount', [path])).code !== 0) await attempt('umount', ['--lazy', path]);
  }
}

/** Removes the file or directory if it is there. Throws ClusterError, and removes nothing, when something stays mounted in it. */
export async function removeTree(path: string): Promise<void> {
  await unmountBelow(path);
  if ((await mountsBelow(path)).length > 0) throw new ClusterError(`Something is still mounted below ${path}; its files are left alone.`);
  // Elsewhere rm has no such option, and nothing of ours is mounted.
  if (process.platform === 'linux') await run('rm', ['-rf', '--one-file-system', path]);
  else await rm(path, { recursive: true, force: true });
}
