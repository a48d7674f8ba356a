// The plan: which actions follow from an observation, in which order, and that nothing follows when nothing differs.
import { describe, expect, test } from '@jest/globals';
import { digestAnnotation } from '../../operator/core/drift.ts';
import { judge } from '../../operator/core/judgement.ts';
import { objectKey, type KubeObject, type LiveObject, type Observed } from '../../operator/core/observed.ts';
import { plan } from '../../operator/core/plan.ts';
import { minorStatusIntervalMs, statusOf } from '../../operator/core/status.ts';
import { at, clusterId, healthy, kubeObject, observed, type Scene } from '../lib/observed-cluster.ts';

const owned = { ownerReferences: [{ uid: '6f1c', controller: true }] };
const digested = (digest = 'd1') => ({ annotations: { [digestAnnotation]: digest } });
const wanted = kubeObject('ConfigMap', 'trading-config', { data: { a: '1' } }, { ...owned, ...digested() });
const asLive = (...objects: KubeObject[]): Map<string, LiveObject> =>
  new Map(objects.map((object) => [objectKey(object), { object, tolerated: '' }]));
const desiring = (...objects: KubeObject[]): Observed['desired'] => ({ kind: 'objects', objects });

const kinds = (one: Observed) => plan(one).map(({ kind }) => kind);
/** As it is after the status has been written. */
const settled = (one: Observed): Observed => ({ ...one, cluster: { ...one.cluster, status: statusOf(one, judge(one)) } });
const objectsPlan = (more: Scene['more']) => kinds(settled(healthy({ more: more ?? {} })));

describe('the plan', () => {
  test('is empty for a healthy cluster whose status is written', () => {
    expect(plan(settled(healthy()))).toEqual([]);
  });

  test('is empty for a cluster that is being deleted', () => {
    expect(plan(observed({ metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' }, more: { desired: desiring(wanted) } }))).toEqual([]);
  });

  test('of a paused cluster writes its status and nothing else', () => {
    const metadata = { annotations: { 'controlcluster.io/paused': 'true' } };
    expect(kinds(observed({ metadata, status: { clusterId }, more: { desired: desiring(wanted) } }))).toEqual(['writeStatus']);
  });

  test('writes the identity of the log into the status before it opens the first round', () => {
    const first = observed();
    expect(kinds(first)).not.toContain('openRound');
    const next = settled(first);
    expect(next.cluster.status?.clusterId).toBe(clusterId);
    expect(plan(next)[0]).toMatchObject({ kind: 'openRound', round: { number: 1, clusterId }, lease: { resourceVersion: '7' } });
  });

  test('clears the Lease of a leader that is gone before it does anything else', () => {
    const one = healthy({ members: { 'trading-0': { pod: null } }, more: { desired: desiring(wanted) } });
    expect(plan(one)[0]).toMatchObject({ kind: 'clearLease', witness: 'pod', lease: { resourceVersion: '7' } });
  });

  test('decides again when the policy Quorum has waited long enough', () => {
    const spec = { startup: { policy: 'Quorum', timeout: '2m' } };
    expect(plan(observed({ spec, members: { 'trading-1': { pod: null } } }))).toContainEqual({ kind: 'planAgain', afterMs: 120_000 });
  });

  test('takes the label of the leader off one that is silent while another leads, and off no other', () => {
    const labelled = { pod: { labelledLeader: true } };
    const silent = healthy({ members: { 'trading-1': { ...labelled, ageMs: 9_000 } } });
    expect(plan(silent)).toContainEqual(expect.objectContaining({ kind: 'unlabelLeader', pod: 'trading-1', podUid: 'trading-1-uid' }));
    const living = healthy({ members: { 'trading-0': { phase: 'Leading', ...labelled }, 'trading-1': labelled } });
    expect(kinds(living)).not.toContain('unlabelLeader');
    const leaderless = healthy({ members: { 'trading-0': { phase: 'Following' }, 'trading-1': { ...labelled, ageMs: 9_000 } } });
    expect(kinds(leaderless)).not.toContain('unlabelLeader');
  });

  test('replaces a pod with its UID as precondition, and says so', () => {
    const one = healthy({ more: { statefulSets: [{ name: 'trading', updateRevision: 'r2' }] } });
    expect(plan(one)[0]).toMatchObject({ kind: 'deletePod', pod: 'trading-1', podUid: 'trading-1-uid', event: { reason: 'PodReplaced' } });
  });
});

describe('objects', () => {
  const edited = { ...wanted, data: { a: '2' } };
  test.each<[string, Scene['more'], string[]]>([
    ['as wanted', { desired: desiring(wanted), live: asLive(wanted) }, []],
    ['with more than was asked for', { desired: desiring(wanted), live: asLive({ ...wanted, data: { a: '1', b: '2' } }) }, []],
    ['edited', { desired: desiring(wanted), live: asLive(edited) }, ['applyObject']],
    [
      'of an older version of the operator',
      {
        desired: desiring(wanted),
        live: asLive(kubeObject('ConfigMap', 'trading-config', { data: { a: '1' } }, { ...owned, ...digested('d0') })),
      },
      ['applyObject'],
    ],
    [
      'whose difference the API server keeps',
      { desired: desiring(wanted), live: new Map([[objectKey(wanted), { object: edited, tolerated: '.data.a="2"' }]]) },
      [],
    ],
    ['absent', { desired: desiring(wanted) }, ['applyObject']],
    [
      'being deleted',
      { desired: desiring(wanted), live: asLive(kubeObject('ConfigMap', 'trading-config', {}, { ...owned, deletionTimestamp: 'x' })) },
      [],
    ],
    [
      'without owner, but ours',
      { desired: desiring(wanted), live: asLive(kubeObject('ConfigMap', 'trading-config', { data: { a: '1' } }, digested())) },
      ['applyObject'],
    ],
    ['no longer wanted', { live: asLive(wanted) }, ['deleteObject']],
    [
      'no longer wanted and on its way out',
      { live: asLive(kubeObject('ConfigMap', 'trading-config', {}, { ...owned, deletionTimestamp: 'x' })) },
      [],
    ],
    ['of others, unknown to us', { live: asLive(kubeObject('ConfigMap', 'theirs')) }, []],
  ])('%s', (_, more, actions) => {
    expect(objectsPlan(more)).toEqual(actions);
  });

  test('of others that have our name are left alone, and named', () => {
    const theirs = kubeObject('ConfigMap', 'trading-config', {}, { ownerReferences: [{ uid: 'other', controller: true }] });
    const one = healthy({ more: { desired: desiring(wanted), live: asLive(theirs) } });
    expect(objectsPlan({ desired: desiring(wanted), live: asLive(theirs) })).toEqual([]);
    expect(statusOf(one, judge(one)).conditions?.find(({ type }) => type === 'Progressing')).toMatchObject({ reason: 'NameTaken' });
  });

  test('that the API server refused are tried again late, or when they changed', () => {
    const refusals = (version: string, retryInMs: number) =>
      new Map([['applyObject ConfigMap trading-config', { version, message: 'no', retryInMs }]]);
    const desired = desiring(wanted);
    expect(objectsPlan({ desired, refusals: refusals('d1', 5_000) })).toEqual(['planAgain']);
    expect(objectsPlan({ desired, refusals: refusals('d1', -1) })).toEqual(['applyObject']);
    expect(objectsPlan({ desired, refusals: refusals('d0', 5_000) })).toEqual(['applyObject']);
  });

  test('are applied no more than once a second, whoever fights over them', () => {
    const fought = (ms: number) => ({ desired: desiring(wanted), live: asLive(edited), appliedAgoMs: new Map([[objectKey(wanted), ms]]) });
    expect(plan(settled(healthy({ more: fought(400) })))).toEqual([{ kind: 'planAgain', afterMs: 600 }]);
    expect(objectsPlan(fought(1_000))).toEqual(['applyObject']);
  });

  test('are not touched while the template is invalid', () => {
    const desired = { kind: 'invalid' as const, reason: 'InvalidTemplate', message: 'no name' };
    expect(objectsPlan({ desired, live: asLive(wanted) })).toEqual([]);
  });
});

describe('the status is written', () => {
  const before = settled(healthy({ status: { clusterId } }));
  const moved = (statusAgeMs: number): Observed => ({
    ...healthy({ members: { 'trading-0': { position: at(1, 11), report: { acknowledged: at(1, 11) } } }, more: { statusAgeMs } }),
    cluster: before.cluster,
  });

  test('at once when its outline changes', () => {
    const one = { ...healthy({ members: { 'trading-1': { pod: null } }, more: { statusAgeMs: 0 } }), cluster: before.cluster };
    expect(kinds(one)).toContain('writeStatus');
  });

  test('no more than once in a while when only UIDs move', () => {
    expect(plan(moved(1_000))).toEqual([{ kind: 'planAgain', afterMs: minorStatusIntervalMs - 1_000 }]);
    expect(kinds(moved(minorStatusIntervalMs))).toEqual(['writeStatus']);
  });
});
