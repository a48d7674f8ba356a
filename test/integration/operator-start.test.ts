// The operator from an applied manifest to a running cluster, at a real API server with its controllers; kubelets and sidecars are played.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parseDurationMs } from '../../common/duration.ts';
import { labels } from '../../common/names.ts';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import type { Operator } from '../../operator/controller/operator.ts';
import { clusterKind, namespacedPath, ownedKinds, podKind } from '../../operator/controller/resource-kind.ts';
import { ActingCluster, positionAt } from '../lib/acting-cluster.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, runOperator, startOperatorServer } from '../lib/operator-under-test.ts';

const withinMs = 20_000;
const members = ['trading-0', 'trading-1', 'trading-2'];
let server: ApiServer;
let api: KubeApi;
let operator: Operator;
let trading: ActingCluster;
let serial = 0;

beforeAll(async () => {
  server = await startOperatorServer({ controllers: true });
  api = clientOf(server);
  operator = await runOperator(server);
});
afterAll(async () => {
  await operator.stop();
  await server.stop();
});
beforeEach(async () => {
  serial += 1;
  const namespace = `start-${String(serial)}`;
  await server.kubectl(['create', 'namespace', namespace]);
  trading = new ActingCluster(api, namespace, 'trading');
});
afterEach(async () => {
  await trading.stop();
});

const status = async () => (await trading.cluster()).status;
const condition = async (type: string) => (await status())?.conditions?.find((one) => one.type === type);

async function wordsOfScheduler(pod: string): Promise<string> {
  const { conditions = [] } = (await trading.get(podKind, pod))?.status as {
    conditions?: { type: string; reason: string; message: string }[];
  };
  const scheduled = conditions.find(({ type }) => type === 'PodScheduled');
  if (scheduled === undefined) throw new Error(`the scheduler has not looked at ${pod}`);
  return `${pod} (${scheduled.reason}: ${scheduled.message})`;
}

async function podsExist(names: readonly string[]): Promise<void> {
  await eventually(async () => {
    for (const name of names) expect(await trading.get(podKind, name)).not.toBeNull();
  }, withinMs);
}

/** A cluster whose members wait, with logs that end at these UIDs of epoch 1. */
async function waitingCluster(uids: readonly number[], spec: object = {}): Promise<void> {
  await createCluster(api, trading.namespace, 'trading', spec);
  await podsExist(members);
  for (const [at, uid] of uids.entries()) {
    const pod = members[at] ?? '';
    await trading.runPod(pod, { ready: false });
    await trading.report(pod, { position: positionAt(uid === 0 ? 0 : 1, uid) });
  }
}

/** A running cluster: the designated member leads, the others follow. */
async function runningCluster(uid: number): Promise<void> {
  await waitingCluster([0, 0, 0]);
  await trading.lead('trading-0', positionAt(1, uid));
  for (const pod of ['trading-1', 'trading-2']) await trading.follow(pod, positionAt(1, uid));
  for (const pod of members) await trading.runPod(pod);
  await eventually(async () => {
    expect((await status())?.phase).toBe('Running');
  }, withinMs);
}

describe('start', () => {
  test('opens a round with all members, the most advanced log first, under a new identity', async () => {
    await waitingCluster([7, 9, 8]);
    await eventually(async () => {
      expect(await trading.round()).toMatchObject({ number: 1, designated: 'trading-1', claim: 'elected' });
    }, withinMs);
    const round = await trading.round();
    expect(round?.counted.map(({ pod }) => pod)).toEqual(members);
    await eventually(async () => {
      expect(await status()).toMatchObject({ clusterId: round?.clusterId, phase: 'Electing' });
    }, withinMs);
  });

  test('says which pods it waits for, and why, in the words of the scheduler', async () => {
    await createCluster(api, trading.namespace, 'trading');
    await podsExist(members);
    await eventually(async () => {
      const gate = await condition('GateOpen');
      expect(gate?.status).toBe('False');
      expect(gate?.message).toContain('Waits for 3 of 3 members');
      for (const pod of members) expect(gate?.message).toContain(await wordsOfScheduler(pod));
    }, withinMs);
    expect((await status())?.phase).toBe('Gathering');
    expect(await trading.round()).toBeNull();
  });

  test('says of a pod without an image, and of one that crashes, what the kubelet says', async () => {
    await waitingCluster([0]);
    const waiting = (reason: string, message: string) => ({
      ready: false,
      sidecar: { ready: false, state: { waiting: { reason, message } } },
    });
    await trading.runPod('trading-1', waiting('ImagePullBackOff', 'Back-off pulling image "example/none"'));
    const lastState = { terminated: { exitCode: 1, reason: 'Error', message: 'no space left' } };
    const crashed = waiting('CrashLoopBackOff', 'back-off 10s');
    await trading.runPod('trading-2', { ...crashed, sidecar: { ...crashed.sidecar, lastState } });
    await eventually(async () => {
      const gate = await condition('GateOpen');
      expect(gate?.message).toContain('Waits for 2 of 3 members');
      expect(gate?.message).toContain(
        'trading-1 (ImagePullBackOff: Container controlcluster waits: Back-off pulling image "example/none")',
      );
      expect(gate?.message).toContain('trading-2 (CrashLoopBackOff: ');
      expect(gate?.message).toContain('exit code 1 (Error): no space left');
    }, withinMs);
  });

  test('says of a pod that cannot be made what Kubernetes says of it', async () => {
    await server.kubectl(['create', 'quota', 'two', '-n', trading.namespace, '--hard=pods=2']);
    await createCluster(api, trading.namespace, 'trading');
    await eventually(async () => {
      expect((await condition('GateOpen'))?.message).toMatch(/NoPod: Pod trading-. does not exist: .*exceeded quota: two/);
    }, 2 * withinMs);
  });

  test('reaches Running, and records leader, epoch, UID and the spread of the starts', async () => {
    await runningCluster(12);
    expect(await status()).toMatchObject({
      phase: 'Running',
      leader: 'trading-0',
      epoch: 1,
      uid: 12,
      ready: '3/3',
      disasterRecoveryReady: '0/0',
      startup: { round: 1, expected: 3, present: 3 },
    });
    await eventually(async () => {
      expect((await status())?.startup?.spreadMs).toBeDefined();
    }, withinMs);
  });

  test('I6: opens no round below the high-water mark, says by how much, and opens it when the log is back', async () => {
    await runningCluster(20);
    for (const pod of members) trading.silence(pod);
    await api.send('DELETE', namespacedPath(podKind, trading.namespace), {});
    await eventually(async () => {
      expect(await trading.holder()).toBe('');
    }, withinMs);
    await podsExist(members);
    const { clusterId = '' } = (await status()) ?? {};
    for (const pod of members) await trading.report(pod, { clusterId, position: positionAt(1, 15) });
    await eventually(async () => {
      expect(await condition('GateOpen')).toMatchObject({ status: 'False', reason: 'BelowHighWaterMark' });
      expect((await condition('GateOpen'))?.message).toContain('5 acknowledged changes are missing');
    }, withinMs);
    expect((await status())?.phase).toBe('Blocked');
    expect((await trading.round())?.number).toBe(1);
    await trading.report('trading-2', { position: positionAt(1, 20) });
    await eventually(async () => {
      expect(await trading.round()).toMatchObject({ number: 2, designated: 'trading-2' });
    }, withinMs);
    expect((await status())?.uid).toBe(20);
  });
});

describe('leader Lease', () => {
  test('is cleared at once when the pod of the leader is deleted', async () => {
    await runningCluster(3);
    const leaseMs = parseDurationMs((await trading.cluster()).spec.election.leaseDuration);
    const startedMs = performance.now();
    await api.send('DELETE', namespacedPath(podKind, trading.namespace, 'trading-0'));
    await eventually(async () => {
      expect(await trading.holder()).toBe('');
    }, leaseMs);
    expect(performance.now() - startedMs).toBeLessThan(leaseMs / 2);
  });

  test('is cleared when the sidecar of the leader has ended', async () => {
    await runningCluster(3);
    const finishedAt = new Date().toISOString();
    await trading.runPod('trading-0', { sidecar: { state: { terminated: { exitCode: 137, reason: 'Error', finishedAt } } } });
    await eventually(async () => {
      expect(await trading.holder()).toBe('');
    }, 3_000);
  });
});

describe('deletion', () => {
  test('of the ControlCluster leaves nothing but the volume claims', async () => {
    await waitingCluster([0, 0, 0], { disasterRecovery: { replicas: 1 } });
    await eventually(async () => {
      expect(await trading.round()).not.toBeNull();
    }, withinMs);
    await trading.stop();
    await api.send('DELETE', namespacedPath(clusterKind, trading.namespace, 'trading'));
    const kinds = ownedKinds.map(({ plural }) => plural).join();
    await eventually(async () => {
      const left = await server.kubectl(['get', `pods,podgroups,${kinds}`, '-n', trading.namespace, '-l', labels.cluster, '-o', 'name']);
      expect(left.stdout).toBe('');
    }, 60_000);
    const claims = await server.kubectl(['get', 'persistentvolumeclaims', '-n', trading.namespace, '-o', 'name']);
    expect(claims.stdout.trim().split('\n')).toHaveLength(4);
  });
});
