// An operator that ends in the middle of anything: after each of its writes in turn, before it has its answer. The next one finishes what was begun.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { labels } from '../../common/names.ts';
import type { KubeApi } from '../../operator/controller/kube-api.ts';
import { collectionPath, ownedKinds, podGroupKind } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import { ActingCluster, positionAt } from '../lib/acting-cluster.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { ClusterObjects } from '../lib/cluster-objects.ts';
import { CutApi } from '../lib/cut-api.ts';
import { eventually } from '../lib/eventually.ts';
import { clientOf, createCluster, runReconciler, startOperatorServer } from '../lib/operator-under-test.ts';

const withinMs = 30_000;
const namespace = 'default';
const ordinals = [0, 1, 2];
let server: ApiServer;
let api: KubeApi;
let objects: ClusterObjects;

beforeAll(async () => {
  server = await startOperatorServer();
  api = clientOf(server);
  objects = new ClusterObjects(api, server, namespace);
});
afterAll(async () => {
  await server.stop();
});

/** Runs an operator until it is cut off with write `lastWrite`, or has finished. Returns how many writes it sent. */
async function operate(begin: () => Promise<void>, finished: () => Promise<void>, lastWrite?: number): Promise<number> {
  let cut: CutApi | undefined;
  const operator = runReconciler(server, (through) => (cut = new CutApi(through, lastWrite)));
  try {
    await operator.start();
    await begin();
    await Promise.race([cut?.done, eventually(finished, withinMs)]);
  } finally {
    await operator.stop();
  }
  return cut?.writes ?? 0;
}
const nothing = (): Promise<void> => Promise.resolve();

/** Names of all objects of a cluster, by its place in them. */
async function inventory(name: string): Promise<string[]> {
  const lists = [...ownedKinds, podGroupKind].map(async (kind) => {
    const answer = await api.send('GET', collectionPath(kind), { query: { labelSelector: `${labels.cluster}=${name}` } });
    if (answer.kind === 'refused') throw new Error(answer.message);
    return (answer.body as { items: KubeObject[] }).items.map(({ metadata }) => `${kind.kind} ${metadata.name.replace(name, '…')}`);
  });
  return (await Promise.all(lists)).flat().toSorted();
}

describe('an operator that ends in the middle', () => {
  test('of making a cluster leaves nothing that the next one cannot finish', async () => {
    const make = (name: string) => (): Promise<void> => createCluster(api, namespace, name, { disasterRecovery: { replicas: 1 } });
    const isMade = (name: string, whole: readonly string[]) => async (): Promise<void> => {
      expect(await inventory(name)).toEqual(whole);
      expect(await objects.condition(name, 'Progressing')).toMatchObject({ reason: 'Settled' });
    };
    const settled = async (): Promise<void> => {
      expect(await objects.condition('whole', 'Progressing')).toMatchObject({ reason: 'Settled' });
    };
    const writes = await operate(make('whole'), settled);
    const whole = await inventory('whole');
    expect(writes).toBeGreaterThan(whole.length);
    for (let last = 1; last <= writes; last += 1) {
      const name = `cut-${String(last)}`;
      await operate(make(name), isMade(name, whole), last);
      await operate(nothing, isMade(name, whole));
    }
  });

  test('of a common start leaves nothing that the next one cannot finish', async () => {
    const begun = (acting: ActingCluster) => async (): Promise<void> => {
      for (const at of ordinals) await acting.report(`${acting.name}-${String(at)}`, { position: positionAt(1, 7 + at) });
    };
    const isOpen = (acting: ActingCluster) => async (): Promise<void> => {
      const round = await acting.round();
      expect(round).toMatchObject({ number: 1, designated: `${acting.name}-2` });
      expect(await objects.status(acting.name)).toMatchObject({ clusterId: round?.clusterId, phase: 'Electing', startup: { present: 3 } });
    };
    const start = async (name: string, lastWrite?: number): Promise<number> => {
      const acting = new ActingCluster(api, namespace, name);
      try {
        await operate(
          () => createCluster(api, namespace, name),
          async () => {
            expect(await objects.condition(name, 'Progressing')).toMatchObject({ reason: 'Settled' });
          },
        );
        for (const at of ordinals) await acting.createPod(`${name}-${String(at)}`);
        const writes = await operate(begun(acting), isOpen(acting), lastWrite);
        await operate(nothing, isOpen(acting));
        return writes;
      } finally {
        await acting.stop();
      }
    };
    const writes = await start('start');
    expect(writes).toBeGreaterThan(2);
    for (let last = 1; last <= writes; last += 1) await start(`start-${String(last)}`, last);
  });
});
