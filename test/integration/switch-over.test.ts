// A planned switch-over as a person asks for it: three real sidecars under writers, a real API server, and the real operator with no more rights than the chart gives.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { annotations } from '../../common/names.ts';
import { eventually } from '../lib/eventually.ts';
import { GatedCluster, pods } from '../lib/gated-cluster.ts';
import { figure } from '../lib/scenario.ts';

const startMs = 120_000;
const doneMs = 30_000;
let cluster: GatedCluster;

beforeAll(async () => {
  cluster = await GatedCluster.start();
}, startMs);
afterAll(async () => {
  await cluster.stop();
});

async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.server.kubectl(args);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** Resolves when the annotation is taken off; returns the reasons of all Events of switch-overs so far. */
async function switchOver(to: string): Promise<string[]> {
  await kubectl('annotate', 'controlcluster', 'trading', `${annotations.switchoverTo}=${to}`);
  await eventually(async () => {
    const { metadata } = JSON.parse(await kubectl('get', 'controlcluster', 'trading', '--output=json')) as {
      metadata: { annotations?: Record<string, string> };
    };
    expect(metadata.annotations?.[annotations.switchoverTo]).toBeUndefined();
  }, doneMs);
  const { items } = JSON.parse(await kubectl('get', 'events.events.k8s.io', '--output=json')) as {
    items: { reason: string; regarding: { kind: string } }[];
  };
  return items
    .filter(({ regarding }) => regarding.kind === 'ControlCluster')
    .flatMap(({ reason }) => (reason.startsWith('Switchover') ? [reason] : []));
}

interface Acknowledged {
  readonly uid: number;
  readonly atMs: number;
}

/** Writes through one pod, one change after the other, each tried again until it is acknowledged. */
async function writeThrough(pod: string, ended: AbortSignal): Promise<Acknowledged[]> {
  const acknowledged: Acknowledged[] = [];
  while (!ended.aborted) {
    const at = acknowledged.length;
    const headers = { 'content-type': 'application/json', 'idempotency-key': `${pod}-${String(at)}` };
    const body = JSON.stringify(at);
    const answer = await cluster
      .node(pod)
      .sidecar.call(`/v1/state/${pod}`, { method: 'PUT', headers, body })
      .catch(() => null);
    if (answer?.ok === true) acknowledged.push({ ...((await answer.json()) as { uid: number }), atMs: performance.now() });
    else await answer?.text();
  }
  return acknowledged;
}

/** The longest time without any acknowledgement. */
function gapMs(acknowledged: readonly Acknowledged[]): number {
  const times = acknowledged.map(({ atMs }) => atMs).sort((a, b) => a - b);
  return Math.max(...times.slice(1).map((atMs, at) => atMs - (times[at] ?? atMs)));
}

test(
  'under writers: the named member leads, every change is in the log once, and the annotation is gone (I2, I8)',
  async () => {
    const [last] = (await cluster.followers()).slice(-1);
    const to = last?.sidecar.pod ?? '';
    const ending = new AbortController();
    const writers = pods.map((pod) => writeThrough(pod, ending.signal));
    const reasons = await switchOver(to);
    expect(reasons.sort()).toEqual(['SwitchoverDone', 'SwitchoverStarted']);
    expect((await cluster.leader()).sidecar.pod).toBe(to);
    ending.abort();
    const acknowledged = (await Promise.all(writers)).flat();
    figure('write gap, switch-over', gapMs(acknowledged));
    const uids = acknowledged.map(({ uid }) => uid).sort((a, b) => a - b);
    expect(uids).toEqual(Array.from({ length: uids.length }, (_, at) => at + 1));
    await cluster.joined();
  },
  startMs,
);

test('to the one that leads is refused: an Event says so, and nothing changes', async () => {
  const before = await cluster.leader();
  const { promise } = await before.sidecar.status();
  expect(await switchOver(before.sidecar.pod)).toContain('SwitchoverRefused');
  expect((await before.sidecar.status()).promise).toEqual(promise);
});

test('back again is another request, which nothing of the first one disturbs', async () => {
  const [to] = await cluster.followers();
  expect(await switchOver(to?.sidecar.pod ?? '')).not.toContain('SwitchoverFailed');
  expect((await cluster.leader()).sidecar.pod).toBe(to?.sidecar.pod);
});
