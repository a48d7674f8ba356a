// The network of the bundled cluster on a machine that uses the cluster's addresses itself: nothing of the machine's is changed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureNetwork, nodeAddresses } from '../cluster/network.ts';
import { actingProgram, askedOf } from '../lib/acting-program.ts';

let directory: string;
let path: string | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-network-'));
  path = process.env['PATH'];
});

afterEach(async () => {
  process.env['PATH'] = path;
  await rm(directory, { recursive: true });
});

/** Puts programs in the place of the machine's; `ip` tells the routes in either range. */
async function machineWith(routes: Readonly<Record<string, readonly object[]>>): Promise<void> {
  const cases: Record<string, string> = {};
  for (const [range, list] of Object.entries(routes)) cases[`*"root ${range}"`] = `echo '${JSON.stringify(list)}'`;
  await actingProgram(directory, { ...cases, '*" root "*': `echo '[]'` }, 'ip');
  for (const program of ['iptables', 'nsenter', 'modprobe']) await actingProgram(directory, {}, program);
  process.env['PATH'] = directory;
}

const changes = async (): Promise<string[]> => (await askedOf(join(directory, 'ip'))).filter((line) => !line.includes(' route show '));

describe('the network', () => {
  test.each([
    ['route', { '10.214.0.0/16': [{ dst: '10.214.3.0/24', dev: 'vpn0' }] }, '10.214.3.0/24, device vpn0'],
    ['address', { '10.213.0.0/24': [{ type: 'local', dst: '10.213.0.7', dev: 'eth1' }] }, '10.213.0.7, device eth1'],
    ['route to nowhere', { '10.214.0.0/16': [{ type: 'blackhole', dst: '10.214.0.0/16' }] }, '10.214.0.0/16, device nowhere'],
  ])('is refused where the machine has its own %s in the range, and nothing is changed', async (_, routes, words) => {
    await machineWith(routes);
    await expect(ensureNetwork(nodeAddresses(2))).rejects.toThrow(words);
    expect(await changes()).toEqual([]);
  });

  test('is made where all such routes are its own, and tells which nodes were off it', async () => {
    await machineWith({ '10.214.0.0/16': [{ dst: '10.214.1.0/24', dev: 'cc-bridge' }] });
    expect((await ensureNetwork(nodeAddresses(1))).map(({ name }) => name)).toEqual(['node1']);
    expect(await changes()).toContain('link set cc-node1 master cc-bridge up');
  });
});
