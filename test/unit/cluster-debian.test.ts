// Which Debian a base image of the bundled cluster is made of: the machine's own, from the machine's own mirror.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { debianSource } from '../cluster/debian.ts';

let etc: string;

beforeEach(async () => {
  etc = await mkdtemp(join(tmpdir(), 'controlcluster-etc-'));
  await mkdir(join(etc, 'apt', 'sources.list.d'), { recursive: true });
});

afterEach(async () => {
  await rm(etc, { recursive: true });
});

async function machine(release: string, sources: Readonly<Record<string, string>>): Promise<void> {
  await writeFile(join(etc, 'os-release'), release);
  for (const [name, text] of Object.entries(sources)) await writeFile(join(etc, 'apt', name), text);
}

describe('the source of the base image', () => {
  test('is the mirror of the stanza that has the suite', async () => {
    const stanza = (mirror: string, suites: string) => `Types: deb\nURIs: ${mirror}/\nSuites: ${suites}\nComponents: main\n`;
    await machine('ID=debian\nVERSION_CODENAME=bookworm\n', {
      'sources.list.d/debian.sources': `${stanza('http://security.example/debian', 'bookworm-security')}\n# A comment.\n${stanza('http://mirror.example/debian', 'bookworm bookworm-updates')}`,
    });
    expect(await debianSource(etc)).toEqual({ suite: 'bookworm', mirror: 'http://mirror.example/debian' });
  });

  test('is the mirror of the line that has the suite', async () => {
    await machine('ID=ubuntu\nVERSION_CODENAME="noble"\n', {
      'sources.list':
        'deb-src http://source.example/ubuntu noble main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/ubuntu/ noble main universe\n',
    });
    expect(await debianSource(etc)).toEqual({ suite: 'noble', mirror: 'http://mirror.example/ubuntu' });
  });

  test('is the first mirror of the file that the list of a cloud image names', async () => {
    await machine('ID=debian\nVERSION_CODENAME=trixie\n', {
      'sources.list.d/debian.sources': `Types: deb\nURIs: mirror+file:${etc}/apt/mirrors.list\nSuites: trixie\nComponents: main\n`,
      'mirrors.list': '# The nearest.\nhttps://mirror.example/debian/\tpriority:1\nhttps://other.example/debian\n',
    });
    expect(await debianSource(etc)).toEqual({ suite: 'trixie', mirror: 'https://mirror.example/debian' });
  });

  test('is not that of a package of somebody else, who has the suite too', async () => {
    await machine('ID=ubuntu\nVERSION_CODENAME=noble\n', {
      'sources.list.d/another.list': 'deb https://packages.example noble main\n',
      'sources.list.d/ubuntu.sources': 'Types: deb\nURIs: http://mirror.example/ubuntu/\nSuites: noble\nComponents: main\n',
    });
    expect((await debianSource(etc)).mirror).toBe('http://mirror.example/ubuntu');
  });

  test.each([
    ['debian', 'http://deb.debian.org/debian'],
    ['ubuntu', 'http://archive.ubuntu.com/ubuntu'],
  ])('is the public mirror of %s for one that debootstrap cannot read, and where no list has the suite', async (id, mirror) => {
    const release = `ID=${id}\nVERSION_CODENAME=current\n`;
    await machine(release, { 'sources.list': `deb mirror+file:${etc}/absent current main\n` });
    expect(await debianSource(etc)).toEqual({ suite: 'current', mirror });
    await machine(release, { 'sources.list': 'deb cdrom:[disc] current main\ndeb http://mirror.example/debian earlier main\n' });
    expect(await debianSource(etc)).toEqual({ suite: 'current', mirror });
  });

  test('is the public Debian on a system of another kind', async () => {
    await machine('ID=fedora\n', {});
    expect(await debianSource(etc)).toEqual({ suite: 'bookworm', mirror: 'http://deb.debian.org/debian' });
  });
});
