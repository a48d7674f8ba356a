// The life of the reconciler: what it asks of the API server at its start, how it follows what that offers, and that it always comes to an end.
import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Answer, RequestOptions } from '../../operator/controller/kube-api.ts';
import { Metrics } from '../../operator/controller/metrics.ts';
import { Reconciler } from '../../operator/controller/reconciler.ts';
import { clusterKind, collectionPath, groupPath, podGroupKind, podMonitorKind } from '../../operator/controller/resource-kind.ts';
import { sidecarSettings } from '../lib/control-cluster.ts';
import { eventually } from '../lib/eventually.ts';

const notFound: Answer = { kind: 'refused', status: 404, message: 'not found' };
const unavailable = (): never => {
  throw new AppError('api_unavailable', 'not now');
};

/** An API server without objects. `answers` says what it answers to a path other than with an empty list. */
function started(answers: Map<string, () => Answer>) {
  const asked: string[] = [];
  const watched: string[] = [];
  const written: { path: string; body: unknown }[] = [];
  const api = {
    send: async (method: string, path: string, { body }: RequestOptions = {}): Promise<Answer> => {
      asked.push(path);
      if (method !== 'GET') written.push({ path, body });
      await Promise.resolve();
      return answers.get(path)?.() ?? { kind: 'ok', body: { metadata: { resourceVersion: '1' }, items: [], resources: [] } };
    },
    lines: async function* (path: string, _query: object, signal: AbortSignal): AsyncGenerator<unknown, void> {
      watched.push(path);
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      yield* [];
    },
  };
  const log = pino({ level: 'silent' });
  const reconciler = new Reconciler({
    api,
    settings: sidecarSettings,
    instance: 'operator-0',
    metrics: new Metrics(),
    log,
    capabilityRefreshMs: 5,
  });
  stop = () => reconciler.stop();
  return { reconciler, watched, written, times: (path: string) => asked.filter((one) => one === path).length };
}
let stop = (): Promise<void> => Promise.resolve();
afterEach(() => stop());

const gangs = groupPath(podGroupKind.apiVersion);
const monitors = groupPath(podMonitorKind.apiVersion);
const offering = (plural: string) => (): Answer => ({ kind: 'ok', body: { resources: [{ name: plural }] } });

describe('the reconciler', () => {
  test('lists and watches each kind once, those that not every API server has among them', async () => {
    const { reconciler, times, watched } = started(
      new Map([
        [gangs, offering('podgroups')],
        [monitors, () => notFound],
      ]),
    );
    await reconciler.start();
    expect(times(collectionPath(podGroupKind))).toBe(1);
    expect(times(collectionPath(podMonitorKind))).toBe(0);
    expect(times('/api/v1/pods')).toBe(1);
    await eventually(() => {
      expect(watched).toContain('/api/v1/pods');
    });
    expect(watched).toHaveLength(new Set(watched).size);
    expect(watched).toContain(collectionPath(podGroupKind));
  });

  test('starts when discovery is answered at last', async () => {
    let left = 1;
    const { reconciler, times } = started(new Map([[gangs, () => (left-- > 0 ? unavailable() : notFound)]]));
    await reconciler.start();
    expect(times(gangs)).toBeGreaterThanOrEqual(2);
  });

  test('goes on when discovery fails later, and finds what is offered after that', async () => {
    const answers = new Map<string, () => Answer>([[monitors, () => notFound]]);
    const { reconciler, times } = started(answers);
    await reconciler.start();
    answers.set(monitors, unavailable);
    const before = times(monitors);
    await eventually(() => {
      expect(times(monitors)).toBeGreaterThan(before + 1);
    });
    answers.set(monitors, offering('podmonitors'));
    await eventually(() => {
      expect(times(collectionPath(podMonitorKind))).toBe(1);
    });
  });

  test('stops while a kind that it has just found cannot be listed', async () => {
    const answers = new Map<string, () => Answer>([[monitors, () => notFound]]);
    const { reconciler, times } = started(answers);
    await reconciler.start();
    answers.set(collectionPath(podMonitorKind), unavailable);
    answers.set(monitors, offering('podmonitors'));
    await eventually(() => {
      expect(times(collectionPath(podMonitorKind))).toBeGreaterThan(0);
    });
    await reconciler.stop();
  });

  test('stops before discovery was ever answered', async () => {
    const { reconciler, times } = started(new Map([[gangs, unavailable]]));
    const starting = reconciler.start();
    await eventually(() => {
      expect(times(gangs)).toBe(1);
    });
    await reconciler.stop();
    await starting;
  });

  test('says of a cluster that it cannot read why, once, and keeps the rest of its status', async () => {
    const available = { type: 'Available', status: 'True', reason: 'LeaderIsOpen', message: '' };
    const cluster = (name: string, conditions: object[]) => ({
      metadata: { name, namespace: 'desk', uid: name, resourceVersion: '3' },
      spec: { members: 'three' },
      status: { conditions },
    });
    const listing = (items: object[]) => (): Answer => ({ kind: 'ok', body: { metadata: { resourceVersion: '1' }, items } });
    const { reconciler, written } = started(new Map([[collectionPath(clusterKind), listing([cluster('trading', [available])])]]));
    await reconciler.start();
    await eventually(() => {
      expect(written).toHaveLength(2);
    });
    const [patch, event] = written;
    expect(patch?.path).toMatch(/desk\/controlclusters\/trading\/status$/);
    const { status } = patch?.body as { status: { conditions: { message: string }[] } };
    expect(status).toEqual({ conditions: [available, expect.objectContaining({ type: 'Progressing', reason: 'Unreadable' })] });
    expect(event?.body).toMatchObject({ reason: 'Unreadable', note: expect.stringContaining('spec.members') });

    await reconciler.stop();
    const said = cluster('said', status.conditions);
    const again = started(new Map([[collectionPath(clusterKind), listing([said, cluster('last', [])])]]));
    await again.reconciler.start();
    await eventually(() => {
      expect(again.written).toHaveLength(2);
    });
    expect(again.written.filter(({ path }) => path.includes('said'))).toEqual([]);
  });
});
