// The contract of the leader Lease, held by the one at a real API server, by the one in memory and by the one of the simulation.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { annotations } from '../../common/names.ts';
import type { StartRound } from '../../common/report.ts';
import { KubeApi } from '../../sidecar/kube/kube-api.ts';
import { kubeconfigEndpoint } from '../../sidecar/kube/kubeconfig.ts';
import { createLeaderLease } from '../../sidecar/kube/leader-lease.ts';
import type { LeaderLease, LeaseRecord } from '../../sidecar/ports.ts';
import { startApiServer, type ApiServer } from '../lib/api-server.ts';
import { eventually } from '../lib/eventually.ts';
import { MemoryLease, MemoryLeaseServer } from '../lib/memory-lease.ts';
import { TcpGate } from '../lib/tcp-gate.ts';
import { ApiServer as SimulatedApiServer } from '../simulation/api-server.ts';
import { Chance } from '../simulation/chance.ts';
import { runBeside } from '../simulation/run-beside.ts';
import { Scheduler } from '../simulation/scheduler.ts';
import { SimulatedLease } from '../simulation/simulated-lease.ts';
import { Trace } from '../simulation/trace.ts';

const withinMs = 10_000;
const leaseDurationMs = 6000;
const retryPeriodMs = 200;
const log = pino({ level: 'silent' });

const round: StartRound = {
  version: 1,
  number: 3,
  clusterId: 'id',
  generation: 0,
  claim: 'elected',
  configuration: [{ pod: 'm-0', incarnation: 'disk' }],
  designated: 'a',
  counted: [{ pod: 'a', session: 's' }],
  highWaterMark: null,
  openedAt: '2026-01-01T00:00:00Z',
};

interface World {
  open(): LeaderLease & { close: () => void };
  /** What the operator writes; text that is no round for `null`. */
  openRound(round: StartRound | null): Promise<void>;
  setAvailable(available: boolean): void;
  drop(): Promise<void>;
}

let server: ApiServer;
let count = 0;

async function kubernetesWorld(): Promise<World> {
  const name = `lease-${String((count += 1))}`;
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: 'default' }, spec: {} };
  expect((await server.kubectl(['create', '-f', '-'], lease)).code).toBe(0);
  const endpoint = kubeconfigEndpoint(server.kubeconfig);
  const { hostname, port } = new URL(endpoint.server);
  const gate = await TcpGate.start(hostname, Number(port));
  const opened: { close: () => void }[] = [];
  return {
    open() {
      const api = new KubeApi({ ...endpoint, server: `https://127.0.0.1:${String(gate.port)}` });
      const made = createLeaderLease({ api, namespace: 'default', name, leaseDurationMs, retryPeriodMs, log });
      opened.push(made);
      return made;
    },
    async openRound(value) {
      const text = value === null ? 'no round' : JSON.stringify(value);
      expect((await server.kubectl(['annotate', '--overwrite', 'lease', name, `${annotations.round}=${text}`])).code).toBe(0);
    },
    setAvailable(available) {
      if (available) gate.open();
      else gate.shut();
    },
    async drop() {
      for (const one of opened) one.close();
      await gate.close();
    },
  };
}

async function memoryWorld(): Promise<World> {
  const memory = new MemoryLeaseServer(leaseDurationMs);
  return {
    open: () => new MemoryLease(memory),
    async openRound(value) {
      memory.openRound(value);
    },
    setAvailable(available) {
      memory.setAvailable(available);
    },
    drop: async () => undefined,
  };
}

async function simulatedWorld(): Promise<World> {
  const chance = new Chance(1);
  const scheduler = new Scheduler(chance, new Trace());
  const api = new SimulatedApiServer(chance, leaseDurationMs, () => undefined);
  const drop = runBeside(scheduler);
  const host = { apiReachable: true, rate: 1, process: null, wallMs: () => scheduler.nowMs };
  return {
    open: () => new SimulatedLease({ scheduler, api, chance }, host, {}),
    async openRound(value) {
      api.overwriteLease({ round: value });
    },
    setAvailable(available) {
      host.apiReachable = available;
    },
    drop,
  };
}

/** What a watcher was told. */
class Watcher {
  readonly told: (LeaseRecord | null)[] = [];
  readonly lease: LeaderLease;

  constructor(lease: LeaderLease) {
    this.lease = lease;
    lease.watch((record) => {
      this.told.push(record);
    });
  }

  get record(): LeaseRecord {
    const last = this.told.at(-1);
    if (last === undefined || last === null) throw new Error('the Lease is not known');
    return last;
  }

  async until(check: () => void): Promise<void> {
    await eventually(check, withinMs);
  }

  async known(): Promise<LeaseRecord> {
    await this.until(() => this.record);
    return this.record;
  }
}

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.stop());

describe.each([
  ['at a real API server', kubernetesWorld],
  ['in memory', memoryWorld],
  ['in a simulation', simulatedWorld],
])('a leader Lease %s', (_, makeWorld) => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.drop());

  test('is free at first, and told as it is', async () => {
    const watcher = new Watcher(world.open());
    expect(await watcher.known()).toMatchObject({ holder: '', leaseDurationMs, round: null });
  });

  test('tells every watcher who holds it, and when it is freed', async () => {
    const [one, other] = [new Watcher(world.open()), new Watcher(world.open())];
    expect(await one.lease.write('one_1_s', (await one.known()).version)).toBe('written');
    await other.until(() => {
      expect(other.record.holder).toBe('one_1_s');
    });
    const { version } = other.record;
    expect(one.record).toEqual(other.record);
    expect(await one.lease.write('', version)).toBe('written');
    await other.until(() => {
      expect(other.record.holder).toBe('');
    });
    expect(other.record.version).not.toBe(version);
  });

  test('tells who writes before it says that it is written, so that the next write need not wait', async () => {
    const watcher = new Watcher(world.open());
    await watcher.known();
    for (const holder of ['one_1_s', '', 'two_2_s']) {
      expect(await watcher.lease.write(holder, watcher.record.version)).toBe('written');
      expect(watcher.record.holder).toBe(holder);
    }
  });

  test('keeps the start round that the operator wrote when a member writes, and tells it', async () => {
    const watcher = new Watcher(world.open());
    await watcher.known();
    await world.openRound(round);
    await watcher.until(() => {
      expect(watcher.record.round).toEqual(round);
    });
    expect(await watcher.lease.write('one_1_s', watcher.record.version)).toBe('written');
    const later = new Watcher(world.open());
    expect(await later.known()).toMatchObject({ holder: 'one_1_s', round });
  });

  test('takes what is no round for none', async () => {
    const watcher = new Watcher(world.open());
    await watcher.known();
    await world.openRound(round);
    await world.openRound(null);
    await watcher.until(() => {
      expect(watcher.record.round).toBeNull();
    });
  });

  test('refuses a write on a version that is no longer current', async () => {
    const watcher = new Watcher(world.open());
    const { version } = await watcher.known();
    expect(await watcher.lease.write('one_1_s', version)).toBe('written');
    expect(await watcher.lease.write('two_2_s', version)).toBe('conflict');
    expect(await new Watcher(world.open()).known()).toMatchObject({ holder: 'one_1_s' });
  });

  test('goes to one of several who write at once', async () => {
    const watchers = ['a_1_s', 'b_2_s', 'c_3_s'].map((identity) => ({ identity, watcher: new Watcher(world.open()) }));
    for (const { watcher } of watchers) await watcher.known();
    const results = await Promise.all(
      watchers.map(async ({ identity, watcher }) => ({ identity, result: await watcher.lease.write(identity, watcher.record.version) })),
    );
    const winners = results.filter(({ result }) => result === 'written');
    expect(winners).toHaveLength(1);
    for (const { watcher } of watchers) {
      await watcher.until(() => {
        expect(watcher.record.holder).toBe(winners[0]?.identity);
      });
    }
  });

  test('tells null while it cannot be reached, and what changed meanwhile after it', async () => {
    const watcher = new Watcher(world.open());
    const { version } = await watcher.known();
    world.setAvailable(false);
    await watcher.until(() => {
      expect(watcher.told.at(-1)).toBeNull();
    });
    expect(await watcher.lease.write('one_1_s', version)).toBe('unavailable');
    await world.openRound(round);
    world.setAvailable(true);
    await watcher.until(() => {
      expect(watcher.record).toMatchObject({ holder: '', round });
    });
    expect(await watcher.lease.write('one_1_s', watcher.record.version)).toBe('written');
  });
});
