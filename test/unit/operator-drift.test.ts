// What counts as a difference between an object that is wanted and the live one.
import { describe, expect, test } from '@jest/globals';
import { differences } from '../../operator/core/drift.ts';
import { kubeObject } from '../lib/observed-cluster.ts';

const of = (kind: string, desired: unknown, live: unknown) =>
  differences(kubeObject(kind, 'x', { spec: desired }), kubeObject(kind, 'x', { spec: live }));

describe('differences', () => {
  test.each<[string, string, unknown, unknown]>([
    ['a field that the API server filled in', 'StatefulSet', { a: 1 }, { a: 1, b: 2 }],
    ['an empty value that it left out', 'StatefulSet', { a: false, b: {}, c: [], d: '', e: null, f: { g: [] } }, {}],
    [
      'a container that an injector added',
      'StatefulSet',
      { containers: [{ name: 'a' }] },
      { containers: [{ name: 'b' }, { name: 'a', image: 'x' }] },
    ],
    ['another order of a keyed list', 'StatefulSet', { env: [{ name: 'a' }, { name: 'b' }] }, { env: [{ name: 'b' }, { name: 'a' }] }],
    ['a Service port that another controller added', 'Service', { ports: [{ name: 'a' }] }, { ports: [{ name: 'a' }, { name: 'b' }] }],
  ])('are none for %s', (_, kind, desired, live) => {
    expect(of(kind, desired, live)).toEqual([]);
  });

  test.each<[string, string, unknown, unknown, string]>([
    ['another value', 'Role', { a: 1 }, { a: 2 }, '.spec.a=2'],
    ['an absent value', 'Role', { a: 1 }, {}, '.spec.a=absent'],
    ['another type', 'Role', { a: [1] }, { a: { 0: 1 } }, '.spec.a={"0":1}'],
    ['false that became true', 'Role', { a: false }, { a: true }, '.spec.a=true'],
    ['a longer list', 'Role', { rules: [{ v: 1 }] }, { rules: [{ v: 1 }, { v: 2 }] }, '.spec.rules=[{"v":1},{"v":2}]'],
    ['an emptied list that has elements', 'Role', { rules: [] }, { rules: [{ v: 2 }] }, '.spec.rules=[{"v":2}]'],
    ['a shorter list', 'Role', { rules: [1, 2] }, { rules: [1] }, '.spec.rules=[1]'],
    ['an element in a list', 'Role', { rules: [1, { a: 2 }] }, { rules: [1, { a: 3 }] }, '.spec.rules[1].a=3'],
    [
      'a changed container',
      'StatefulSet',
      { containers: [{ name: 'a', image: 'x' }] },
      { containers: [{ name: 'a', image: 'y' }] },
      '.spec.containers[0]=[{"name":"a","image":"y"}]',
    ],
    [
      'a port of a list that is keyed elsewhere only',
      'NetworkPolicy',
      { ports: [{ port: 1 }] },
      { ports: [{ port: 1 }, { port: 2 }] },
      '.spec.ports=[{"port":1},{"port":2}]',
    ],
  ])('name %s', (_, kind, desired, live, found) => {
    expect(of(kind, desired, live)).toEqual([found]);
  });

  test('compare labels, annotations and owners, and nothing else of the metadata', () => {
    const metadata = { labels: { a: '1' }, ownerReferences: [{ uid: 'u', controller: true }] };
    const live = {
      ...metadata,
      labels: { a: '1', b: '2' },
      resourceVersion: '9',
      ownerReferences: [{ uid: 'v' }, { uid: 'u', controller: true }],
    };
    expect(differences(kubeObject('Lease', 'x', {}, metadata), kubeObject('Lease', 'x', {}, live))).toEqual([]);
    expect(
      differences(kubeObject('Lease', 'x', {}, metadata), kubeObject('Lease', 'x', {}, { ownerReferences: metadata.ownerReferences })),
    ).toEqual(['.metadata.labels=absent']);
  });
});
