// A person lets another member lead, under a steady writer: no acknowledged change is lost or doubled (I2, I8), no pod starts anew, the Service follows, and
// Events on the ControlCluster and on the pod say what came of it.
import { expect } from '@jest/globals';
import { annotations, memberPodName } from '../../common/names.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { figure, scenario } from '../lib/scenario.ts';
import { discrepancies, longestGapMs, SteadyWriter } from '../lib/steady-writer.ts';

const names = [0, 1, 2].map((ordinal) => memberPodName('trading', ordinal));
const writesOnMs = 60_000;
const doneMs = 30_000;
const serviceMs = 30_000;

scenario('switch-over', (cluster, step) => {
  const annotate = (to: string): Promise<string> =>
    cluster.kubectl(['annotate', 'controlcluster', 'trading', `${annotations.switchoverTo}=${to}`]);
  /** Resolves when it was told about the pod and the cluster. */
  const told = (reason: string, pod: string): Promise<void> =>
    eventuallySeen(async () => {
      const list = JSON.parse(await cluster.kubectl(['get', 'events.events.k8s.io', '--output=json'])) as {
        items: { reason: string; note: string; regarding: { kind: string; name: string } }[];
      };
      const subjects = list.items
        .filter((event) => event.reason === reason && event.note.includes(pod))
        .map(({ regarding }) => `${regarding.kind} ${regarding.name}`);
      expect(subjects).toEqual(expect.arrayContaining(['ControlCluster trading', `Pod ${pod}`]));
    }, doneMs);

  step('starts', async () => {
    await cluster.apply();
    await cluster.running();
    await cluster.usersReady();
  });

  step('the named member leads, and nothing is lost or doubled (I2, I8)', async () => {
    const old = await cluster.leader();
    const to = names.findLast((name) => name !== old) ?? '';
    const uids = async (): Promise<(string | undefined)[]> =>
      Promise.all(names.map(async (name) => (await cluster.pod(name)).metadata.uid));
    const before = await uids();
    const writer = await SteadyWriter.start(cluster);
    await annotate(to);
    await told('SwitchoverDone', to);
    expect(await cluster.leader()).toBe(to);
    await writer.goesOn(20, writesOnMs);
    await eventuallySeen(async () => {
      expect(await cluster.servicePods()).toEqual([to]);
    }, serviceMs);
    await cluster.follows(old);
    const acknowledged = await writer.stop();
    figure('write gap, switch-over', longestGapMs(acknowledged));
    await cluster.agreed();
    for (const pod of names) expect(discrepancies(acknowledged, await cluster.log(pod))).toEqual([]);
    expect(await uids()).toEqual(before);
  });

  step('to the one that leads is refused', async () => {
    const leader = await cluster.leader();
    await annotate(leader);
    await told('SwitchoverRefused', leader);
    expect(await cluster.leader()).toBe(leader);
    await cluster.running();
  });
});
