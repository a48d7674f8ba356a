// Which Debian or Ubuntu a base image is made of, and from which mirror: those of this machine, so that a private mirror is honoured; the
// public Debian elsewhere.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DebianSource {
  /** Code name, for example `bookworm`. */
  readonly suite: string;
  readonly mirror: string;
}

const fallback: DebianSource = { suite: 'bookworm', mirror: 'http://deb.debian.org/debian' };

export async function debianSource(etc = '/etc'): Promise<DebianSource> {
  const release = await readFile(join(etc, 'os-release'), 'utf8').catch(() => '');
  const suite = /^VERSION_CODENAME="?([\w-]+)"?$/m.exec(release)?.[1];
  if (suite === undefined) return fallback;
  const lists = join(etc, 'apt', 'sources.list.d');
  const files = [join(etc, 'apt', 'sources.list'), ...(await readdir(lists).catch(() => [])).sort().map((name) => join(lists, name))];
  for (const file of files) {
    const mirror = mirrorIn(await readFile(file, 'utf8').catch(() => ''), suite);
    if (mirror !== undefined) return { suite, mirror };
  }
  return fallback;
}

/** The mirror of the suite in a sources list, in either of apt's formats. */
function mirrorIn(text: string, suite: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    const [uri] = field('URIs');
    if (uri !== undefined && field('Types').includes('deb') && field('Suites').includes(suite)) return uri.replace(/\/$/, '');
  }
  for (const line of text.split('\n')) {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s/.exec(line);
    if (match?.[1] !== undefined && match[2] === suite) return match[1].replace(/\/$/, '');
  }
  return undefined;
}
