// The release over time, with a ControlCluster that runs: `helm test`, upgrade, uninstall and install again leave the users' pods, volumes and data alone.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from '@jest/globals';
import { labels } from '../../common/names.ts';
import { writeEarlierChart } from '../lib/chart.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { installed, release, systemNamespace } from '../lib/installation.ts';
import { attemptKubectl, helm, kubectl } from '../lib/kubectl.ts';
import { scenario } from '../lib/scenario.ts';

const goneMs = 60_000;
const backMs = 60_000;
const here = ['--namespace', systemNamespace];

scenario('chart', (cluster, step) => {
  afterAll(async () => {
    const claims = ['persistentvolumeclaims', '--selector', `${labels.cluster}=${release}-test`];
    await attemptKubectl([...here, 'delete', ...claims, '--wait=false']);
  });
  let pods: string[] = [];
  let end = { uid: 0, hash: '' };
  const podUids = async (): Promise<string[]> => (await cluster.pods()).map(({ metadata }) => metadata.uid);
  const read = async (query = ''): Promise<unknown> => JSON.parse((await cluster.call('trading-0', 'GET', `/v1/state/kept${query}`)).text);

  step('tests itself by a write through a live cluster', async () => {
    expect(await helm(['test', release, ...here, '--timeout', '5m'])).toMatch(/Phase:\s+Succeeded/);
  });

  step('upgraded from an earlier chart, the pods of a ControlCluster run on, and their log is the same', async () => {
    const earlier = await mkdtemp(join(tmpdir(), 'controlcluster-earlier-'));
    try {
      await writeEarlierChart(earlier);
      await installed(earlier);
    } finally {
      await rm(earlier, { recursive: true });
    }
    await cluster.apply();
    await cluster.running();
    await cluster.usersReady();
    pods = await podUids();
    for (const at of [1, 2, 3]) expect((await cluster.call(await cluster.leader(), 'PUT', '/v1/state/kept', { at })).status).toBe(200);
    end = await cluster.agreed();
    expect(end.uid).toBe(3);

    await installed();
    expect(await helm(['list', ...here, '--filter', `^${release}$`])).toContain('controlcluster-0.1.0');
    await cluster.running();
    expect((await cluster.agreed()).uid).toBe(end.uid);
    expect(await podUids()).toEqual(pods);
  });

  step('uninstalled, pods, volumes and the resource stay, and the state can be read', async () => {
    await helm(['uninstall', release, ...here, '--wait', '--timeout', '2m']);
    await eventuallySeen(async () => {
      expect(await kubectl(['get', 'pods', ...here, '--output', 'name'])).toBe('');
    }, goneMs);
    expect(await podUids()).toEqual(pods);
    expect(await read()).toMatchObject({ value: { at: 3 }, uid: 3 });
    await cluster.kubectl(['get', 'controlcluster', cluster.name]);
    const claims = await cluster.kubectl(['get', 'persistentvolumeclaims', '--output', 'name']);
    expect(claims.trim().split('\n')).toHaveLength(4);
  });

  step('installed again, the same log goes on', async () => {
    await installed();
    await eventuallySeen(async () => {
      expect(await read('?consistency=linearizable')).toMatchObject({ value: { at: 3 }, uid: 3 });
    }, backMs);
    await cluster.running();
    expect(await podUids()).toEqual(pods);
    expect((await cluster.call(await cluster.leader(), 'PUT', '/v1/state/kept', { at: 4 })).status).toBe(200);
    expect((await cluster.agreed()).uid).toBe(4);
  });
});
