// Carrying out a plan: what the API server refuses is remembered, told in the status and tried again later; what it cannot answer now ends the plan.
import { describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { annotations } from '../../common/names.ts';
import { execute, type Context } from '../../operator/controller/executors.ts';
import type { Answer } from '../../operator/controller/kube-api.ts';
import { newMemory } from '../../operator/controller/observe.ts';
import { digestAnnotation } from '../../operator/core/drift.ts';
import { objectKey, type Observed, type Refusal } from '../../operator/core/observed.ts';
import { plan } from '../../operator/core/plan.ts';
import { clusterId, founding, healthy, kubeObject, observed } from '../lib/observed-cluster.ts';

const wanted = (digest = 'd1') =>
  kubeObject(
    'ConfigMap',
    'trading-config',
    {},
    { ownerReferences: [{ uid: '6f1c', controller: true }], annotations: { [digestAnnotation]: digest } },
  );
const desiring = (...objects: ReturnType<typeof wanted>[]): Observed['desired'] => ({ kind: 'objects', objects });
const surplus = new Map([[objectKey(wanted()), { object: { ...wanted(), metadata: { ...wanted().metadata, uid: 'u' } }, tolerated: '' }]]);
const ok: Answer = { kind: 'ok', body: { kind: 'Status', metadata: {} } };

/** Carries plans out at an API server that answers the writes to everything but the status as the test says. */
function executor(answer: () => Answer) {
  const sent: string[] = [];
  const told: string[] = [];
  let status: unknown;
  const memory = newMemory();
  const run = async (one: Observed): Promise<void> => {
    const nowMs = performance.now();
    const refusals = new Map(
      [...memory.refusals].map(([key, { version, message, retryAtMs }]): [string, Refusal] => [
        key,
        { version, message, retryInMs: retryAtMs - nowMs },
      ]),
    );
    const context: Context = {
      api: {
        send: async (method, path, options) => {
          if (path.endsWith('/status')) ({ status } = options?.body as { status: unknown });
          else if (method === 'GET') return { kind: 'refused', status: 404, message: 'not found' };
          else sent.push(`${method} ${path.split('/').at(-1) ?? ''}`);
          return Promise.resolve(path.endsWith('/status') ? ok : answer());
        },
      },
      events: {
        record: (_, { reason }) => {
          told.push(reason);
          return Promise.resolve();
        },
      },
      cluster: one.cluster,
      memory,
      refresh: () => undefined,
    };
    for (const action of plan({ ...one, refusals })) if ((await execute(action, context)).kind === 'stale') return;
  };
  return { run, sent, told, memory, progressing: () => JSON.stringify(status) };
}

const switchoverTo = (to: string) => ({ metadata: { annotations: { [annotations.switchoverTo]: to } } });
const gone = { leader: 'trading-0', members: { 'trading-0': { pod: null } }, status: { clusterId } };
const writes: readonly [name: string, one: Observed, request: string, event: string | null, subject: string][] = [
  ['an apply', healthy({ more: { desired: desiring(wanted()) } }), 'PATCH trading-config', null, 'ConfigMap trading-config'],
  ['a deletion of an object', healthy({ more: { live: surplus } }), 'DELETE trading-config', null, 'ConfigMap trading-config'],
  [
    'the replacement of a pod',
    healthy({ more: { statefulSets: [{ name: 'trading', updateRevision: 'r2' }] } }),
    'DELETE trading-1',
    'PodReplaced',
    'Pod trading-1',
  ],
  ['the clearing of a Lease', observed(gone), 'PATCH trading-leader', 'LeaderLeaseCleared', 'Lease trading-leader'],
  [
    'the opening of a round',
    observed({ status: { clusterId, generation: 0, founding } }),
    'PATCH trading-leader',
    'StartRoundOpened',
    'Lease trading-leader',
  ],
  ['the telling of a switch-over', healthy(switchoverTo('trading-1')), 'PATCH trading-0', 'SwitchoverStarted', 'Lease trading-0'],
  ['the end of a switch-over', healthy(switchoverTo('trading-0')), 'PATCH trading', 'SwitchoverRefused', 'Annotation switchover-to'],
];

describe.each(writes)('%s', (_, one, request, event, subject) => {
  test.each([403, 422, 500])(
    'that is answered with %s is told in the status and by an Event, and not sent again at once',
    async (status) => {
      const { run, sent, told, progressing } = executor(() => ({ kind: 'refused', status, message: 'the very words' }));
      await run(one);
      await run(one);
      expect(sent).toEqual([request]);
      expect(progressing()).toContain(`"reason":"Refused","message":"${subject}: the very words"`);
      expect(told).toContain('Refused');
      expect(told).not.toContain(event);
    },
  );

  test('that is done is told then', async () => {
    const { run, sent, told } = executor(() => ok);
    await run(one);
    expect(sent).toEqual([request]);
    if (event !== null) expect(told[0]).toBe(event);
  });

  test('that cannot be answered now ends the plan', async () => {
    const { run } = executor(() => {
      throw new AppError('api_unavailable', 'cut');
    });
    await expect(run(one)).rejects.toThrow('cut');
  });
});

describe('a refusal', () => {
  const retryMs = ({ memory }: ReturnType<typeof executor>) => {
    const [refusal] = memory.refusals.values();
    return Math.round((refusal?.retryAtMs ?? 0) - performance.now());
  };

  test.each([
    [422, 30_000],
    [500, 1_000],
  ])('with %s is waited for %s ms at first, then twice as long, and from the start for another object', async (status, firstMs) => {
    const one = executor(() => ({ kind: 'refused', status, message: 'no' }));
    const again = async (digest: string): Promise<number> => {
      for (const [key, refusal] of one.memory.refusals) one.memory.refusals.set(key, { ...refusal, retryAtMs: 0 });
      await one.run(healthy({ more: { desired: desiring(wanted(digest)) } }));
      return retryMs(one);
    };
    expect(await again('d1')).toBeCloseTo(firstMs, -2);
    expect(await again('d1')).toBeCloseTo(2 * firstMs, -2);
    expect(await again('d2')).toBeCloseTo(firstMs, -2);
    for (let at = 0; at < 12; at += 1) await again('d2');
    expect(await again('d2')).toBeCloseTo(600_000, -2);
  });

  test('is forgotten when the write is done', async () => {
    let answer: Answer = { kind: 'refused', status: 500, message: 'no' };
    const { run, memory } = executor(() => answer);
    const one = healthy({ more: { desired: desiring(wanted()) } });
    await run(one);
    answer = ok;
    for (const [key, refusal] of memory.refusals) memory.refusals.set(key, { ...refusal, retryAtMs: 0 });
    await run(one);
    expect(memory.refusals.size).toBe(0);
  });

  test('of the question whether a name is taken keeps the object from being applied', async () => {
    const one = healthy({ more: { desired: desiring(wanted()) } });
    const sent: string[] = [];
    const send = (method: string): Promise<Answer> => {
      sent.push(method);
      return Promise.resolve({ kind: 'refused', status: 403, message: 'no' });
    };
    const context = { api: { send }, events: { record: () => Promise.resolve() }, cluster: one.cluster, memory: newMemory() };
    const [write] = plan(one);
    if (write !== undefined) await execute(write, { ...context, refresh: () => undefined });
    expect(sent).toEqual(['GET']);
  });
});
