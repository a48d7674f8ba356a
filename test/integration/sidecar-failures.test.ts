// Rows of the failure table of sidecar/SPEC.md, each by itself, where a process can be hurt for real without pods: a stopped leader, an API server
// that cannot be reached, a full disk. Three sidecars, three NATS servers, an API server and the operator, all real.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../lib/eventually.ts';
import { GatedCluster, leaseMs, type Node } from '../lib/gated-cluster.ts';

/** As long as an outage takes that is long: many times what a leader has to renew its Lease. */
const outageMs = 10 * leaseMs;
const withinMs = 30_000;
const lookMs = 50;
const startMs = 120_000;
const diskBytes = 96 * 1024 * 1024;
const valueBytes = 256 * 1024;

let cluster: GatedCluster;
let written = 0;

/** The data directory is a file system of its own, of a bounded size; it goes with the process. */
const smallDisk = (pod: string, directory: string): readonly string[] => [
  ...['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount', 'sh', '-c'],
  `mount -t tmpfs -o size=${String(diskBytes)} tmpfs "${join(directory, pod)}" && mkdir "${join(directory, pod)}/run" && exec "$@"`,
  'sh',
];

beforeAll(async () => {
  cluster = await GatedCluster.start({ wrapper: smallDisk });
}, startMs);
afterAll(async () => {
  await cluster.stop();
});

interface Answer {
  readonly status: number;
  readonly uid?: number;
  readonly code?: string;
}

async function put({ sidecar }: Node, key: string, value: unknown): Promise<Answer> {
  written += 1;
  const headers = { 'content-type': 'application/json', 'idempotency-key': `write-${String(written)}` };
  const answer = await sidecar.call(`/v1/state/${key}`, { method: 'PUT', headers, body: JSON.stringify(value) });
  return { ...((await answer.json()) as object), status: answer.status };
}

/** The highest UID; every member has it, on one and the same log. */
async function agreed(): Promise<number> {
  let uid = 0;
  await eventually(
    async () => {
      const reports = await cluster.reports();
      expect(reports.map(({ phase }) => phase).toSorted()).toEqual(['Following', 'Following', 'Leading']);
      const [first, ...others] = reports.map(({ acknowledged }) => acknowledged);
      for (const other of others) expect(other).toEqual(first);
      uid = first?.uid ?? 0;
    },
    withinMs,
    lookMs,
  );
  return uid;
}

const sessions = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await cluster.reports()).map(({ pod, session }) => [pod, session]));

/** Writes go on at this member for as long as the outage takes: each is acknowledged, and none takes as long as an election. */
async function writesGoOn(leader: Node): Promise<void> {
  const sinceMs = performance.now();
  while (performance.now() - sinceMs < outageMs) {
    const askedMs = performance.now();
    expect(await put(leader, 'steady', askedMs)).toMatchObject({ status: 200 });
    expect(performance.now() - askedMs).toBeLessThan(leaseMs);
  }
}

test('a leader that is stopped past the Lease acknowledges nothing more when it goes on, and follows (I2, I3)', async () => {
  const before = await cluster.leader();
  const { epoch } = (await put(before, 'stopped', 'before')) as Answer & { epoch: number };
  before.sidecar.freeze();
  const asked = put(before, 'stopped', 'asked of the one that is stopped');
  const after = await cluster.leader();
  expect(after).not.toBe(before);
  const acknowledged = await put(after, 'stopped', 'by the next');
  expect(acknowledged).toMatchObject({ status: 200 });
  before.sidecar.thaw();
  // It did not lead any more: the change was refused, or made by the leader after what that one had acknowledged.
  const late = await asked;
  if (late.status === 200) expect(late.uid).toBeGreaterThan(acknowledged.uid ?? 0);
  else expect(late.status).toBe(503);
  await agreed();
  expect((await cluster.leader()).sidecar.pod).toBe(after.sidecar.pod);
  const log = await Promise.all(cluster.nodes.map(async ({ sidecar }) => (await sidecar.call('/v1/changes?fromUid=1&limit=1000')).text()));
  expect(new Set(log).size).toBe(1);
  expect(epoch).toBeLessThan(((await put(after, 'stopped', 'at last')) as Answer & { epoch: number }).epoch);
});

describe('the API server', () => {
  test('that only the leader does not reach changes nothing: writes go on for many Lease durations, and nobody else leads', async () => {
    await agreed();
    const leader = await cluster.leader();
    const before = await cluster.reports();
    leader.apiGate.hold();
    await writesGoOn(leader);
    leader.apiGate.open();
    await agreed();
    expect((await cluster.reports()).map(({ promise }) => promise)).toEqual(before.map(({ promise }) => promise));
  });

  test('that answers nobody for many Lease durations changes nothing: no demotion, no restart, writes go on', async () => {
    const leader = await cluster.leader();
    const before = await sessions();
    cluster.server.freeze();
    await writesGoOn(leader);
    cluster.server.thaw();
    await agreed();
    expect((await cluster.leader()).sidecar.pod).toBe(leader.sidecar.pod);
    expect(await sessions()).toEqual(before);
  });
});

/** Takes all room on the disks of these members; gives it back. */
async function fill(nodes: readonly Node[]): Promise<() => Promise<void>> {
  const fillers = nodes.map(({ sidecar }) => join(sidecar.files, 'filler'));
  for (const filler of fillers) await expect(writeFile(filler, Buffer.alloc(diskBytes))).rejects.toMatchObject({ code: 'ENOSPC' });
  return async () => {
    for (const filler of fillers) await rm(filler);
  };
}

const large = 'v'.repeat(valueBytes);
const readsGoOn = async ({ sidecar }: Node): Promise<void> => expect((await sidecar.call('/v1/state/small')).status).toBe(200);

describe('a full disk', () => {
  test('of the leader: another leads and writes go on; the full one serves reads, and follows again once there is room', async () => {
    const leader = await cluster.leader();
    expect(await put(leader, 'small', 1)).toMatchObject({ status: 200 });
    await agreed();
    const before = await sessions();
    const free = await fill([leader]);
    try {
      await eventually(async () => {
        await put(leader, 'large', large);
        expect(await cluster.leader()).not.toBe(leader);
      }, withinMs);
      await eventually(async () => expect(await put(await cluster.leader(), 'small', 2)).toMatchObject({ status: 200 }), withinMs);
      await readsGoOn(leader);
    } finally {
      await free();
    }
    await agreed();
    expect(await sessions()).toEqual(before);
  });

  test('of every member: writes stop with a clear error, reads go on, and writes too once there is room', async () => {
    const leader = await cluster.leader();
    expect(await put(leader, 'small', 1)).toMatchObject({ status: 200 });
    await agreed();
    const before = await sessions();
    const free = await fill(cluster.nodes);
    try {
      await eventually(async () => {
        const answer = await put(leader, 'large', large);
        expect(answer).toMatchObject({ status: 507, code: 'disk_full' });
      }, withinMs);
      for (const node of cluster.nodes) await readsGoOn(node);
    } finally {
      await free();
    }
    await eventually(async () => expect(await put(await cluster.leader(), 'small', 2)).toMatchObject({ status: 200 }), withinMs);
    await agreed();
    expect(await sessions()).toEqual(before);
  });
});
