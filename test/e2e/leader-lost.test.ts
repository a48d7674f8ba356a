// The leader is lost in three ways under a steady writer, with the operator and without one. No acknowledged change is lost or doubled (I2, I3, I8), the
// Service follows, and the old leader comes back as a follower by itself.
import { expect } from '@jest/globals';
import { memberPodName } from '../../common/names.ts';
import { cut, heal, nodeAddress } from '../cluster/network.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { scaleOperator } from '../lib/installation.ts';
import type { LiveCluster } from '../lib/live-cluster.ts';
import { figure, scenario } from '../lib/scenario.ts';
import { discrepancies, longestGapMs, SteadyWriter } from '../lib/steady-writer.ts';

const names = [0, 1, 2].map((ordinal) => memberPodName('trading', ordinal));
const writesOnMs = 60_000;
/** With an operator; without one it takes until Kubernetes notices that the node is gone, 50 s. */
const serviceMs = { operated: 30_000, alone: 90_000 };
const operators = 2;

/** Loses the leader while a client writes, and judges what was acknowledged by the log of every member. */
async function lose(
  cluster: LiveCluster,
  what: string,
  withinMs: number,
  loss: (leader: string) => Promise<() => Promise<void>>,
): Promise<void> {
  const old = await cluster.leader();
  const writer = await SteadyWriter.start(cluster);
  const restore = await loss(old);
  let next = '';
  try {
    next = await cluster.leader({ otherThan: old });
    await writer.goesOn(20, writesOnMs);
    await eventuallySeen(async () => {
      expect(await cluster.servicePods()).toEqual([next]);
    }, withinMs);
  } finally {
    await restore();
  }
  await cluster.follows(old);
  const acknowledged = await writer.stop();
  figure(`write gap, ${what}`, longestGapMs(acknowledged));
  await cluster.agreed();
  for (const pod of names) expect(discrepancies(acknowledged, await cluster.log(pod))).toEqual([]);
  expect(await cluster.leader()).toBe(next);
}

const nothing = async (): Promise<void> => undefined;

for (const [situation, operated] of [
  ['leader lost', true],
  ['leader lost without an operator', false],
] as const) {
  scenario(situation, (cluster, step) => {
    const withinMs = operated ? serviceMs.operated : serviceMs.alone;
    step('starts', async () => {
      await cluster.apply();
      await cluster.running();
      await cluster.usersReady();
      if (!operated) await scaleOperator(0);
    });

    step('its sidecar is killed (I2, I8)', async () => {
      await lose(cluster, 'kill -9', withinMs, async (leader) => {
        cluster.killSidecar(leader);
        return nothing;
      });
    });

    step('its pod is deleted (I2, I8)', async () => {
      await lose(cluster, 'pod deleted', withinMs, async (leader) => {
        await cluster.kubectl(['delete', 'pod', leader, '--wait=false']);
        return nothing;
      });
    });

    step('its node is cut off (I2, I3, I8)', async () => {
      await lose(cluster, 'node cut off', withinMs, async (leader) => {
        const { spec } = await cluster.pod(leader);
        const node = nodeAddress(Number(spec.nodeName?.replace('node', '')));
        await cut(node);
        return () => heal(node);
      });
    });

    step('and with the operator, the cluster is Running', async () => {
      if (!operated) await scaleOperator(operators);
      await cluster.running();
    });
  });
}
