// The simulated Lease, report and peers are no kinder than the real ones: news is late, and who gets no answer may have been heard all the same.
// What they hold to beside that is in test/conformance.
import { describe, expect, test } from '@jest/globals';
import { reportOf } from '../lib/sample-report.ts';
import { ApiServer } from './api-server.ts';
import { Chance } from './chance.ts';
import { Network } from './network.ts';
import { Scheduler } from './scheduler.ts';
import { SimulatedLease, SimulatedOwnPod } from './simulated-lease.ts';
import { SimulatedPeers, type PeersHost } from './simulated-peers.ts';
import { drawSwarm } from './swarm.ts';
import { Trace } from './trace.ts';

const seeds = Array.from({ length: 100 }, (_, at) => at);

function newWorld(seed: number) {
  const chance = new Chance(seed);
  const scheduler = new Scheduler(chance, new Trace());
  const get = async <T>(work: Promise<T>): Promise<T> => {
    let isOver = false;
    void work.finally(() => (isOver = true));
    await scheduler.run(() => isOver);
    return work;
  };
  return { chance, scheduler, get };
}

describe('a simulated Lease at a slow API server', () => {
  const newLease = (seed: number) => {
    const { chance, scheduler, get } = newWorld(seed);
    const api = new ApiServer(chance, 6000, () => undefined);
    api.lateMs = 5000;
    const host = { apiReachable: true, rate: 1, process: null, wallMs: () => scheduler.nowMs };
    return { api, scheduler, get, lease: new SimulatedLease({ scheduler, api, chance }, host, {}) };
  };

  test('says of a write that it is unknown, whether it was carried out or not', async () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const { api, lease, get } = newLease(seed);
      const result = await get(lease.write('a', api.lease.version));
      found.add(`${result}, held by ${api.lease.holder === 'a' ? 'a' : 'nobody'}`);
    }
    expect([...found].sort()).toEqual(['unavailable, held by a', 'unavailable, held by nobody', 'written, held by a']);
  });

  test('tells what is no longer so, and nothing older than what it told', async () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const { api, lease, scheduler } = newLease(seed);
      const told: string[] = [];
      lease.watch((record) => {
        if (record !== null && record.holder !== '') told.push(record.holder);
      });
      api.overwriteLease({ holder: 'a' });
      api.overwriteLease({ holder: 'b' });
      await scheduler.run(() => told.includes('b'));
      await scheduler.run(() => scheduler.nowMs > 10_000);
      found.add([...new Set(told)].join(', '));
    }
    expect([...found].sort()).toEqual(['a, b', 'b']);
  });
});

test('what a process says of itself may be written after its end', async () => {
  const { chance, scheduler } = newWorld(1);
  const api = new ApiServer(chance, 6000, () => undefined);
  const life = { dead: false };
  const host = { pod: 'm-0', apiReachable: true, rate: 1, reported: () => undefined };
  new SimulatedOwnPod({ scheduler, api, chance }, host, { life }).report(reportOf('m-0', 's1'));
  life.dead = true;
  expect(api.memberLeases.has('m-0')).toBe(false);
  await scheduler.run(() => false);
  expect(api.memberLeases.get('m-0')?.report.session).toBe('s1');
});

test('a simulated peer that is cut off is refused, or not yet', async () => {
  const found = new Set<string>();
  for (const seed of seeds) {
    const { chance, scheduler, get } = newWorld(seed);
    const network = new Network({ chance, scheduler, swarm: drawSwarm(chance, { calmNetwork: true }) });
    const hosts: PeersHost[] = [];
    const open = (pod: string, natsReachable: boolean): SimulatedPeers => {
      const host = { pod, number: hosts.length, paused: false, held: [], natsReachable, rate: 1 };
      const peers = new SimulatedPeers({ scheduler, network, chance, hosts }, host, { dead: false });
      hosts.push({ ...host, process: { peers } });
      return peers;
    };
    const [asks] = [open('a', true), open('b', false)];
    const refusal: unknown = await get(asks.request('b', new Uint8Array(), 100).catch((error: unknown) => error));
    found.add((refusal as { code: string }).code);
  }
  expect([...found].sort()).toEqual(['no_leader', 'outcome_unknown']);
});
