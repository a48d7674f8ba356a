// Wall clocks that are wrong by hours, and jump: three real sidecars, one right, one ahead, one behind (SPEC.md, failure table).
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../lib/eventually.ts';
import { GatedCluster, leaseMs, pods } from '../lib/gated-cluster.ts';

const hourMs = 3_600_000;
/** The first two lead in turn: of those that hold the same log, the one that stands first in failover.csv is first. */
const shiftsMs = [5 * hourMs, -7 * hourMs, 0];
const withinMs = 30_000;
const startMs = 120_000;
let cluster: GatedCluster;

beforeAll(async () => {
  const shift = (pod: string): string => `CC_TEST_CLOCK_SHIFT_MS=${String(shiftsMs[pods.indexOf(pod)])}`;
  cluster = await GatedCluster.start({ nodeArgs: ['--import', './test/lib/shifted-clock.ts'], wrapper: (pod) => ['env', shift(pod)] });
}, startMs);
afterAll(async () => {
  await cluster.stop();
});

async function put(pod: string, value: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return cluster.node(pod).sidecar.call('/v1/state/clock', { method: 'PUT', headers, body: JSON.stringify(value) });
}

/** Writes through every member for some Lease durations: nobody steps down. */
async function steady(): Promise<void> {
  const leader = await cluster.leader();
  const promises = async () => (await cluster.reports()).map(({ promise }) => promise);
  const before = await promises();
  const sinceMs = performance.now();
  for (let at = 0; performance.now() - sinceMs < 3 * leaseMs; at += 1)
    expect((await put(pods[at % pods.length] ?? '', at)).status).toBe(200);
  expect(await promises()).toEqual(before);
  expect(await cluster.leader()).toBe(leader);
}

test('clocks that are wrong by hours have no effect: one that is ahead and one that is behind lead in turn, and nobody steps down', async () => {
  for (let turn = 0; turn < pods.length; turn += 1) {
    await steady();
    const leader = await cluster.leader();
    const sinceMs = performance.now();
    await cluster.killSidecar(leader);
    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    expect((await put(next.sidecar.pod, turn)).status).toBe(200);
    expect(performance.now() - sinceMs).toBeLessThan(5 * leaseMs);
    await cluster.startSidecar(leader);
    await cluster.whole();
  }
});

test('nor has a clock that jumps by hours under a leader or a follower', async () => {
  for (const { sidecar } of cluster.nodes) sidecar.signal('SIGUSR2');
  await steady();
});

test('the clocks are wrong: each change bears the time of who led', async () => {
  await eventually(async () => {
    const lines = (await (await cluster.node(pods[0] ?? '').sidecar.call('/v1/changes?fromUid=1&limit=1000')).text()).split('\n');
    const timesMs = lines.filter((line) => line !== '').map((line) => (JSON.parse(line) as { timeMs: number }).timeMs);
    const offByHours = timesMs.filter((timeMs) => Math.abs(timeMs - Date.now()) > hourMs);
    expect(offByHours.length).toBeGreaterThan(0);
  }, withinMs);
});
