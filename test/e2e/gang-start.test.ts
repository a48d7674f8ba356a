// From one manifest to a running cluster (K7, I7): all start, or none does, and while they wait the status says for what.
import { expect } from '@jest/globals';
import { drPodName, memberPodName } from '../../common/names.ts';
import { containerProcesses, residentMiB } from '../lib/container-process.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { systemNamespace } from '../lib/installation.ts';
import { kubectl } from '../lib/kubectl.ts';
import { container } from '../lib/live-cluster.ts';
import { figure, scenario } from '../lib/scenario.ts';

const gatheringMs = 60_000;
const spreadMs = 30_000;
/** Kubelets write times of starts without fractions. */
const kubeletResolutionMs = 1000;
const names = [0, 1, 2].map((ordinal) => memberPodName('trading', ordinal));
const closedNode = 'node2';

scenario('gang start', (cluster, step) => {
  let roomAtMs = Number.POSITIVE_INFINITY;
  const userContainers = async () =>
    (await cluster.pods()).flatMap(({ status }) => (status.containerStatuses ?? []).filter(({ name }) => name === container));

  step('with room for two of three members no user container starts, and the status says why (I7)', async () => {
    await kubectl(['cordon', closedNode]);
    try {
      await cluster.apply();
      await eventuallySeen(async () => {
        const { phase, conditions = [], members = [] } = await cluster.status();
        expect(phase).toBe('Gathering');
        const gate = conditions.find(({ type }) => type === 'GateOpen');
        expect(gate).toMatchObject({ status: 'False' });
        expect(gate?.message).toMatch(/Waits for [123] of 3 members.*Unschedulable.*nodes are available/s);
        expect(members.slice(0, 3).map(({ reason }) => reason)).toEqual(['Unschedulable', 'Unschedulable', 'Unschedulable']);
      }, gatheringMs);
      expect((await userContainers()).filter(({ state }) => state.running !== undefined)).toEqual([]);
    } finally {
      roomAtMs = Date.now();
      await kubectl(['uncordon', closedNode]);
    }
  });

  step('when room appears all members and the replica start, and the spread of their starts is recorded', async () => {
    const startedMs = performance.now();
    const { members = [], leader } = await cluster.running();
    figure('from room for all to Running', performance.now() - startedMs);
    expect(members.map(({ name, role }) => [name, role])).toEqual([
      ...names.map((name) => [name, name === leader ? 'leader' : 'follower']),
      [drPodName('trading', 0), 'dr'],
    ]);
    await eventuallySeen(async () => {
      expect((await cluster.status()).startup).toMatchObject({ round: 1, expected: 3, present: 3, spreadMs: expect.any(Number) });
      const starts = (await userContainers()).flatMap(({ state }) => state.running ?? []);
      expect(starts).toHaveLength(4);
      for (const { startedAt } of starts) expect(Date.parse(startedAt)).toBeGreaterThan(roomAtMs - kubeletResolutionMs);
    }, spreadMs);
    figure('spread of the starts', (await cluster.status()).startup?.spreadMs ?? Number.NaN);
  });

  step('each member has a main node of its own, and the replica the one of the other region', async () => {
    const nodes = new Map((await cluster.pods()).map(({ metadata, spec }) => [metadata.name, spec.nodeName]));
    expect(nodes.get(drPodName('trading', 0))).toBe('node4');
    expect(new Set(names.map((name) => nodes.get(name)))).toEqual(new Set(['node1', 'node2', 'node3']));
  });

  step('sidecars and operators take little memory when idle', async () => {
    for (const { metadata } of await cluster.pods())
      figure(`sidecar of ${metadata.name} resident`, residentMiB(cluster.sidecarProcess(metadata.name)), 'MiB');
    const operators = containerProcesses('operator/main.ts', { CC_NAMESPACE: systemNamespace });
    expect(operators).toHaveLength(2);
    for (const pid of operators) figure('operator resident', residentMiB(pid), 'MiB');
  });
});
