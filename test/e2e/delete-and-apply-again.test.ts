// Deleting a ControlCluster leaves its volume claims and nothing else; the same manifest, applied again, brings the state back (I5).
import { expect } from '@jest/globals';
import { labels } from '../../common/names.ts';
import { ownedKinds } from '../../operator/controller/resource-kind.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { scenario } from '../lib/scenario.ts';

const goneMs = 120_000;

scenario('delete and apply again', (cluster, step) => {
  let end = { uid: 0, hash: '' };
  let clusterId = '';

  step('starts, and takes changes', async () => {
    await cluster.apply();
    clusterId = (await cluster.running()).clusterId ?? '';
    await cluster.usersReady();
    for (const at of [1, 2, 3]) expect((await cluster.call(await cluster.leader(), 'PUT', '/v1/state/kept', { at })).status).toBe(200);
    end = await cluster.agreed();
    expect(end.uid).toBe(3);
  });

  step('deleted, everything goes but the volume claims', async () => {
    await cluster.kubectl(['delete', 'controlcluster', cluster.name, '--wait']);
    const kinds = ['pods', 'podgroups', ...ownedKinds.map(({ plural }) => plural)].join();
    await eventuallySeen(async () => {
      expect(await cluster.kubectl(['get', kinds, '--selector', labels.cluster, '--output', 'name'])).toBe('');
    }, goneMs);
    const claims = await cluster.kubectl(['get', 'persistentvolumeclaims', '--output', 'name']);
    expect(claims.trim().split('\n')).toHaveLength(4);
  });

  step('applied again, the state is back, with the identity of its log (I5)', async () => {
    await cluster.apply();
    expect((await cluster.running()).clusterId).toBe(clusterId);
    await cluster.usersReady();
    expect((await cluster.agreed()).uid).toBe(end.uid);
    const read = await cluster.call(await cluster.leader(), 'GET', '/v1/state/kept?consistency=linearizable');
    expect(JSON.parse(read.text)).toMatchObject({ value: { at: 3 }, uid: 3 });
  });
});
