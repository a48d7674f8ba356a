// All pods at once, and NATS: under a steady writer, nothing acknowledged is lost or doubled (I2, I8), and the cluster comes back by itself.
import { expect } from '@jest/globals';
import { memberPodName } from '../../common/names.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { restartNats } from '../lib/installation.ts';
import { figure, scenario } from '../lib/scenario.ts';
import { discrepancies, longestGapMs, SteadyWriter } from '../lib/steady-writer.ts';

const names = [0, 1, 2].map((ordinal) => memberPodName('trading', ordinal));
const writesOnMs = 120_000;

scenario('outages', (cluster, step) => {
  step('starts', async () => {
    await cluster.apply();
    await cluster.running();
    await cluster.usersReady();
  });

  const outage = async (what: string, happen: () => Promise<void>): Promise<void> => {
    const writer = await SteadyWriter.start(cluster);
    await happen();
    await writer.goesOn(20, writesOnMs);
    const acknowledged = await writer.stop();
    figure(`write gap, ${what}`, longestGapMs(acknowledged));
    await cluster.running();
    await cluster.usersReady();
    await cluster.agreed();
    for (const pod of names) expect(discrepancies(acknowledged, await cluster.log(pod))).toEqual([]);
  };

  step('all pods are deleted at once: a new start round, and the log goes on (I2, I8, K6)', async () => {
    const before = await cluster.status();
    await outage('all pods deleted', async () => {
      const old = new Set((await cluster.pods()).map(({ metadata }) => metadata.uid));
      await cluster.deletePods();
      await eventuallySeen(async () => {
        expect((await cluster.pods()).filter(({ metadata }) => old.has(metadata.uid))).toEqual([]);
      }, writesOnMs);
    });
    const after = await cluster.status();
    expect(after.clusterId).toBe(before.clusterId);
    expect(after.startup?.round).toBe((before.startup?.round ?? 0) + 1);
    expect(after.epoch ?? 0).toBeGreaterThan(before.epoch ?? 0);
  });

  step('NATS is restarted: a pause, and no member starts anew (I2, I8)', async () => {
    const starts = async (): Promise<unknown[]> =>
      (await cluster.pods()).map(({ metadata, status: { initContainerStatuses = [], containerStatuses = [] } }) => [
        metadata.uid,
        [...initContainerStatuses, ...containerStatuses].map(({ restartCount }) => restartCount),
      ]);
    const before = await starts();
    await outage('NATS restarted', restartNats);
    expect(await starts()).toEqual(before);
  });
});
