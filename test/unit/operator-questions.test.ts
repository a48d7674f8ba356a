// Why a pod is not there that cannot say so itself: when Kubernetes is asked, what counts as its answer, and what is said without one.
import { describe, expect, test } from '@jest/globals';
import type { Answer, RequestOptions } from '../../operator/controller/kube-api.ts';
import { answersTo } from '../../operator/controller/warning-events.ts';
import { judge } from '../../operator/core/judgement.ts';
import type { Observed } from '../../operator/core/observed.ts';
import { plan } from '../../operator/core/plan.ts';
import { questionsAbout } from '../../operator/core/questions.ts';
import { statusOf } from '../../operator/core/status.ts';
import { healthy, nowMs, observed, sidecar, type ActingMember } from '../lib/observed-cluster.ts';

const missing: ActingMember = { pod: null, report: null };
const creating: ActingMember = {
  report: null,
  pod: { ready: false, sidecar: sidecar({ kind: 'waiting', reason: 'ContainerCreating', message: '' }) },
};
const pulling: ActingMember = {
  report: null,
  pod: { ready: false, sidecar: sidecar({ kind: 'waiting', reason: 'ErrImagePull', message: '' }) },
};
const scene = (more: Partial<Observed> = {}) =>
  observed({
    spec: { disasterRecovery: { replicas: 1 } },
    members: { 'trading-0': creating, 'trading-1': missing, 'trading-2': pulling, 'trading-dr-0': missing },
    more,
  });
const questions = [
  { pod: 'trading-0', kind: 'Pod', name: 'trading-0' },
  { pod: 'trading-1', kind: 'StatefulSet', name: 'trading' },
  { pod: 'trading-dr-0', kind: 'StatefulSet', name: 'trading-dr' },
] as const;

describe('the question', () => {
  test('goes to the pod, or to who makes it, and only about pods that cannot tell themselves', () => {
    expect(questionsAbout(judge(scene()).members)).toEqual(questions);
    expect(questionsAbout(judge(healthy()).members)).toEqual([]);
  });

  /** As it is when it has been so for a while. */
  const lasting = (lastedMs: number, askedAgoMs: number): Observed => {
    const one = scene({ askedAgoMs });
    const before = { ...one, nowMs: nowMs - lastedMs };
    return { ...one, cluster: { ...one.cluster, status: statusOf(before, judge(before)) } };
  };
  const next = (one: Observed) => plan(one).at(-1);
  test('is put when the trouble has lasted, then later and later', () => {
    expect(next(scene())).toEqual({ kind: 'planAgain', afterMs: 5_000 });
    expect(next(lasting(2_000, Infinity))).toEqual({ kind: 'planAgain', afterMs: 3_000 });
    expect(next(lasting(5_000, Infinity))).toEqual({ kind: 'askWhy', questions });
    expect(next(lasting(5_000, 10))).toEqual({ kind: 'planAgain', afterMs: 4_990 });
    expect(next(lasting(60_000, 29_000))).toEqual({ kind: 'planAgain', afterMs: 1_000 });
    expect(next(lasting(86_400_000, 60_000))).toEqual({ kind: 'planAgain', afterMs: 240_000 });
    expect(next(lasting(86_400_000, 300_000))).toEqual({ kind: 'askWhy', questions });
  });

  test('is forgotten with its answers when all are there', () => {
    const one = healthy({ more: { answers: new Map([['trading-1', 'quota']]) } });
    expect(next(one)).toEqual({ kind: 'askWhy', questions: [] });
  });
});

describe('the answer', () => {
  const gate = (one: Observed) => statusOf(one, judge(one)).conditions?.find(({ type }) => type === 'GateOpen')?.message;
  test('is what is said of the pod', () => {
    const answers = new Map([
      ['trading-0', 'secret "nats" not found'],
      ['trading-1', 'exceeded quota'],
    ]);
    expect(gate(scene({ answers }))).toContain(
      'trading-0 (ContainerCreating: Container controlcluster is being created: secret "nats" not found);',
    );
    expect(gate(scene({ answers }))).toContain('trading-1 (NoPod: Pod trading-1 does not exist: exceeded quota);');
  });

  test('is replaced by the command that tells, while there is none', () => {
    expect(gate(scene())).toContain('if it stays so, kubectl describe pod trading-0 says why.');
    expect(gate(scene())).toContain('if it stays so, kubectl describe statefulset trading says why.');
  });

  const at = (seconds: number) => `2030-01-01T00:00:${String(seconds).padStart(2, '0')}Z`;
  function asking(byObject: Record<string, object[]>, refused = false) {
    const asked: string[] = [];
    const send = (_method: string, path: string, { query }: RequestOptions = {}): Promise<Answer> => {
      asked.push(`${path} ${query?.fieldSelector ?? ''} ${query?.limit ?? ''}`);
      const name = query?.fieldSelector?.split('regarding.name=')[1] ?? '';
      if (refused) return Promise.resolve({ kind: 'refused', status: 403, message: 'no' });
      return Promise.resolve({ kind: 'ok', body: { items: byObject[name] ?? [] } });
    };
    return { asked, answers: () => answersTo(questions, { send }, 'desk') };
  }

  test('is the latest warning, of a StatefulSet one that names the pod', async () => {
    const { asked, answers } = asking({
      'trading-0': [
        { note: 'old', deprecatedLastTimestamp: at(1) },
        { note: 'new', eventTime: at(2), series: { lastObservedTime: at(9) } },
        { note: 'between', eventTime: at(5) },
      ],
      trading: [
        { note: 'create Pod trading-1 in StatefulSet trading failed', eventTime: at(1) },
        { note: 'create Pod trading-10 failed', eventTime: at(2) },
      ],
    });
    expect([...(await answers())]).toEqual([
      ['trading-0', 'new'],
      ['trading-1', 'create Pod trading-1 in StatefulSet trading failed'],
    ]);
    expect(asked).toEqual(
      ['Pod,regarding.name=trading-0', 'StatefulSet,regarding.name=trading', 'StatefulSet,regarding.name=trading-dr'].map(
        (of) => `/apis/events.k8s.io/v1/namespaces/desk/events type=Warning,regarding.kind=${of} 200`,
      ),
    );
  });

  test('is none where Events may not be listed', async () => {
    expect([...(await asking({}, true).answers())]).toEqual([]);
  });
});
