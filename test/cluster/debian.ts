// Which Debian or Ubuntu a base image is made of, and from which mirror: those of this machine, so that a private mirror is honoured; where
// debootstrap could not read it, the public mirror of the same distribution. Elsewhere the public Debian.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DebianSource {
  /** Code name, for example `bookworm`. */
  readonly suite: string;
  readonly mirror: string;
}

const publicMirrors = new Map([
  ['debian', 'http://deb.debian.org/debian'],
  ['ubuntu', 'http://archive.ubuntu.com/ubuntu'],
]);
const elsewhere: DebianSource = { suite: 'bookworm', mirror: 'http://deb.debian.org/debian' };
/** What debootstrap can read. */
const readable = /^(?:https?|file):\S+/m;

export async function debianSource(etc = '/etc'): Promise<DebianSource> {
  const release = await textOf(join(etc, 'os-release'));
  const field = (name: string) => new RegExp(`^${name}="?([\\w-]+)"?$`, 'm').exec(release)?.[1] ?? '';
  const [suite, distribution] = [field('VERSION_CODENAME'), field('ID')];
  const publicMirror = publicMirrors.get(distribution);
  if (suite === '' || publicMirror === undefined) return elsewhere;
  // The distribution's own lists first: those of others may have its suites too.
  const lists = join(etc, 'apt', 'sources.list.d');
  const others = (await readdir(lists).catch(() => [])).sort().map((name) => join(lists, name));
  for (const file of [join(etc, 'apt', 'sources.list'), join(lists, `${distribution}.sources`), ...others]) {
    const uri = uriIn(await textOf(file), suite);
    const mirror = uri === undefined ? undefined : await mirrorOf(uri);
    if (mirror !== undefined) return { suite, mirror };
  }
  return { suite, mirror: publicMirror };
}

/** The first URI of the suite in a sources list, in either of apt's formats. */
function uriIn(text: string, suite: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (field('Types').includes('deb') && field('Suites').includes(suite)) return field('URIs')[0];
  }
  for (const line of text.split('\n')) {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s/.exec(line);
    if (match?.[2] === suite) return match[1];
  }
  return undefined;
}

/** Cloud images name their mirrors in a file that the URI names, the best first. Undefined when it is none that debootstrap can read. */
async function mirrorOf(uri: string): Promise<string | undefined> {
  const list = /^mirror\+file:(.*)/.exec(uri)?.[1];
  return readable.exec(list === undefined ? uri : await textOf(list))?.[0].replace(/\/$/, '');
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
