// What only a real API server can show: what people read in a Lease, how often it is asked and written, and access reviews.
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { annotations } from '../../common/names.ts';
import { emptyPosition } from '../../common/position.ts';
import type { MemberReport } from '../../common/report.ts';
import { createAccessReview } from '../../sidecar/kube/access.ts';
import { KubeApi } from '../../sidecar/kube/kube-api.ts';
import { kubeconfigEndpoint } from '../../sidecar/kube/kubeconfig.ts';
import { createLeaderLease } from '../../sidecar/kube/leader-lease.ts';
import { createOwnPod } from '../../sidecar/kube/own-pod.ts';
import type { LeaseRecord } from '../../sidecar/ports.ts';
import { startApiServer, type ApiServer } from '../lib/api-server.ts';
import { eventually } from '../lib/eventually.ts';
import { reportOf } from '../lib/sample-report.ts';

const withinMs = 10_000;
const log = pino({ level: 'silent' });
let server: ApiServer;
let api: KubeApi;
const closes: (() => void)[] = [];

beforeAll(async () => {
  server = await startApiServer();
  api = new KubeApi(kubeconfigEndpoint(server.kubeconfig));
});
afterAll(() => server.stop());
afterEach(() => {
  for (const close of closes.splice(0)) close();
});

const lease = (name: string) => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name, namespace: 'default', annotations: { note: 'of the operator' } },
  spec: {},
});

async function kubectl(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stdout, stderr } = await server.kubectl(args, input);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

interface Shown {
  readonly metadata: { readonly annotations: Record<string, string>; readonly labels?: Record<string, string> };
  readonly spec: Record<string, unknown>;
}
const shown = async (kind: string, name: string): Promise<Shown> => JSON.parse(await kubectl(['get', kind, name, '-o', 'json'])) as Shown;

const report = reportOf('trading-0', 's1');

describe('a leader Lease at a real API server', () => {
  test('shows people who holds it since when, and how often it moved', async () => {
    await kubectl(['create', '-f', '-'], lease('shown'));
    const made = createLeaderLease({ api, namespace: 'default', name: 'shown', leaseDurationMs: 6000, retryPeriodMs: 1000, log });
    closes.push(() => {
      made.close();
    });
    let record: LeaseRecord | null = null;
    made.watch((next) => {
      record = next;
    });
    const write = async (holder: string): Promise<Shown> => {
      await eventually(() => {
        expect(record).not.toBeNull();
      }, withinMs);
      expect(await made.write(holder, (record as unknown as LeaseRecord).version)).toBe('written');
      return shown('lease', 'shown');
    };
    const first = await write('a_1_s');
    expect(first.spec).toMatchObject({ holderIdentity: 'a_1_s', leaseDurationSeconds: 6, leaseTransitions: 1 });
    expect(first.metadata.annotations).toMatchObject({ note: 'of the operator' });
    const renewed = await write('a_1_s');
    expect(renewed.spec).toMatchObject({ acquireTime: first.spec.acquireTime, leaseTransitions: 1 });
    expect(renewed.spec.renewTime).not.toBe(first.spec.renewTime);
    const moved = await write('b_2_s');
    expect(moved.spec).toMatchObject({ holderIdentity: 'b_2_s', leaseTransitions: 2 });
    expect(moved.spec.acquireTime).not.toBe(first.spec.acquireTime);
  });

  test('is polled only as long as the watch says nothing', async () => {
    await kubectl(['create', '-f', '-'], lease('quiet'));
    const made = createLeaderLease({ api, namespace: 'default', name: 'quiet', leaseDurationMs: 6000, retryPeriodMs: 250, log });
    closes.push(() => {
      made.close();
    });
    let [record, changes]: [LeaseRecord | null, number] = [null, 0];
    made.watch((next) => {
      if (next?.version !== record?.version) changes += 1;
      record = next;
    });
    const gets = async (): Promise<number> => {
      const lines = (await readFile(server.auditLog, 'utf8')).split('\n');
      return lines.filter((line) => line.includes('"verb":"get"') && line.includes('/leases/quiet"')).length;
    };
    await eventually(async () => {
      expect(await gets()).toBeGreaterThan(3);
    }, withinMs);
    const before = await gets();
    for (let at = 0; at < 20; at += 1) {
      const known: number = changes;
      const body = { metadata: { annotations: { turn: String(at) } } };
      await api.send({
        method: 'PATCH',
        path: '/apis/coordination.k8s.io/v1/namespaces/default/leases/quiet',
        body,
        contentType: 'application/merge-patch+json',
      });
      await eventually(() => {
        expect(changes).toBeGreaterThan(known);
      }, withinMs);
    }
    expect((await gets()) - before).toBeLessThanOrEqual(1);
  });
});

describe('a pod that tells of itself', () => {
  const open = (pod: string) => {
    const made = createOwnPod({ api, namespace: 'default', pod, podUid: 'uid', log });
    closes.push(() => {
      made.close();
    });
    return made;
  };

  test('writes its newest report as soon as the operator has made the Lease, keeps what else is there, and goes on as a heartbeat', async () => {
    const own = open('trading-0');
    own.report(report);
    own.report({ ...report, phase: 'Following' });
    await kubectl(['create', '-f', '-'], lease('trading-0'));
    const read = async (): Promise<MemberReport> => {
      const { metadata } = await shown('lease', 'trading-0');
      return JSON.parse(metadata.annotations[annotations.report] ?? '{}') as MemberReport;
    };
    await eventually(async () => {
      expect(await read()).toEqual({ ...report, phase: 'Following' });
    }, withinMs);
    const first = await shown('lease', 'trading-0');
    expect(first.metadata.annotations).toMatchObject({ note: 'of the operator' });
    await eventually(async () => {
      expect((await shown('lease', 'trading-0')).spec.renewTime).not.toBe(first.spec.renewTime);
    }, withinMs);
  });

  test('says why it does not report yet, leaves the report that it found, by which its disk is judged, and takes the word back with its own (I2)', async () => {
    await kubectl(['create', '-f', '-'], lease('damaged-0'));
    const before = open('damaged-0');
    const position = { ...emptyPosition, uid: 7 };
    before.report({ ...report, session: 'before', position });
    const notes = async (): Promise<Record<string, string>> => (await shown('lease', 'damaged-0')).metadata.annotations;
    await eventually(async () => {
      expect(await notes()).toHaveProperty([annotations.report]);
    }, withinMs);
    before.close();
    const own = open('damaged-0');
    const why = { reason: 'JournalDamaged', message: 'frame 7' };
    own.waits(why);
    await eventually(async () => {
      expect(JSON.parse((await notes())[annotations.waiting] ?? '{}')).toEqual({ podUid: 'uid', ...why });
    }, withinMs);
    const record = await new Promise((resolve) => {
      own.recorded(resolve);
    });
    expect(record).toMatchObject({ session: 'before', position });
    own.report(report);
    await eventually(async () => {
      const { [annotations.report]: written, [annotations.waiting]: left } = await notes();
      expect([JSON.parse(written ?? '{}'), left]).toEqual([report, undefined]);
    }, withinMs);
  });

  test('does not write for each change of the log', async () => {
    await kubectl(['create', '-f', '-'], lease('busy-0'));
    const own = open('busy-0');
    for (let uid = 1; uid <= 100; uid += 1) {
      own.report({ ...report, pod: 'busy-0', position: { ...emptyPosition, uid } });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const patches = (await readFile(server.auditLog, 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"verb":"patch"') && line.includes('/leases/busy-0"'));
    expect(patches.length).toBeLessThanOrEqual(2);
  });
});

describe('an access review', () => {
  test('knows what RBAC allows the bearer of a token, and a token that is none', async () => {
    for (const name of ['reader', 'stranger']) await kubectl(['create', 'serviceaccount', name]);
    await kubectl([
      'create',
      'role',
      'reads',
      '--verb=get',
      '--resource=controlclusters.controlcluster.io/state',
      '--resource-name=trading',
    ]);
    await kubectl(['create', 'rolebinding', 'reads', '--role=reads', '--serviceaccount=default:reader']);
    const tokenOf = async (name: string): Promise<string> => (await kubectl(['create', 'token', name])).trim();
    const [reader, stranger] = [await tokenOf('reader'), await tokenOf('stranger')];
    const review = createAccessReview(api, 'default', 'trading');
    await eventually(async () => {
      expect(await createAccessReview(api, 'default', 'trading')(reader, 'get')).toBe('allowed');
    }, withinMs);
    expect(await review(reader, 'get')).toBe('allowed');
    expect(await review(reader, 'update')).toBe('forbidden');
    expect(await review(stranger, 'get')).toBe('forbidden');
    expect(await review('not-a-token', 'get')).toBe('unauthorized');
    expect(await createAccessReview(api, 'default', 'other')(reader, 'get')).toBe('forbidden');
  });

  test('asks once for those who ask at the same time and shortly after', async () => {
    const token = (await kubectl(['create', 'token', 'reader'])).trim();
    const review = createAccessReview(api, 'default', 'trading');
    const reviews = async (): Promise<number> =>
      (await readFile(server.auditLog, 'utf8'))
        .split('\n')
        .filter((line) => line.includes('selfsubjectaccessreviews') && line.includes('system:serviceaccount:default:reader')).length;
    const before = await reviews();
    await Promise.all(Array.from({ length: 10 }, () => review(token, 'get')));
    await review(token, 'get');
    await eventually(async () => {
      expect((await reviews()) - before).toBe(1);
    }, withinMs);
  });
});
