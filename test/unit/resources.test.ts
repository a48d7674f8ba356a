// The objects of a ControlCluster but for the pods (resources-pod.test.ts): what is made, in which order, and what each holds.
import { describe, expect, test } from '@jest/globals';
import type { V1ConfigMap, V1NetworkPolicy, V1Role, V1Service, V1StatefulSet } from '@kubernetes/client-node';
import { desiredObjects } from '../../operator/resources/desired.ts';
import type { Capabilities } from '../../operator/resources/desired.ts';
import { memberSelectorText } from '../../operator/resources/identity.ts';
import type { PodGroup } from '../../operator/resources/pod-group.ts';
import { warningsFor } from '../../operator/resources/warnings.ts';
import { controlCluster, sidecarSettings } from '../lib/control-cluster.ts';

const everything: Capabilities = { podGroups: true, podMonitors: true };

function objects(spec: object = {}, capabilities = everything) {
  const desired = desiredObjects(controlCluster(spec), capabilities, sidecarSettings);
  if ('invalid' in desired) throw new Error(desired.invalid.message);
  return desired.objects;
}
const names = (spec?: object, capabilities?: Capabilities) =>
  objects(spec, capabilities).map(({ kind, metadata }) => `${kind ?? ''}/${metadata?.name ?? ''}`);

function find(name: string, spec?: object): unknown {
  const found = objects(spec).find(({ kind, metadata }) => `${kind ?? ''}/${metadata?.name ?? ''}` === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe('desiredObjects', () => {
  test('lists every object once, what pods need before the pods', () => {
    const list = names({ disasterRecovery: { replicas: 1 } });
    expect(list).toEqual([
      'ConfigMap/trading-config',
      'ServiceAccount/trading',
      'ServiceAccount/trading-dr',
      'Role/trading',
      'Role/trading-dr',
      'RoleBinding/trading',
      'RoleBinding/trading-dr',
      'Lease/trading-leader',
      'Lease/trading-0',
      'Lease/trading-1',
      'Lease/trading-2',
      'Lease/trading-dr-0',
      'Service/trading-members',
      'Service/trading',
      'Service/trading-followers',
      'NetworkPolicy/trading',
      'PodDisruptionBudget/trading',
      'PodGroup/trading',
      'StatefulSet/trading',
      'StatefulSet/trading-dr',
      'PodMonitor/trading',
    ]);
    expect(new Set(list).size).toBe(list.length);
  });

  test('leaves out what the API server does not know', () => {
    const list = names({}, { podGroups: false, podMonitors: false });
    expect(list.filter((name) => /PodGroup|PodMonitor/.test(name))).toEqual([]);
  });

  test('gives every object its owner, its namespace and the labels that name it', () => {
    for (const { metadata } of objects({ disasterRecovery: { replicas: 2 } })) {
      expect(metadata?.namespace).toBe('desk');
      expect(metadata?.ownerReferences).toMatchObject([{ kind: 'ControlCluster', name: 'trading', uid: '6f1c', controller: true }]);
      expect(metadata?.labels).toMatchObject({ 'controlcluster.io/cluster': 'trading', 'app.kubernetes.io/instance': 'trading' });
    }
  });

  test('is the same for the same cluster', () => {
    expect(objects()).toEqual(objects());
  });
});

describe('the ConfigMap', () => {
  const data = (spec: object) => (find('ConfigMap/trading-config', spec) as V1ConfigMap).data ?? {};

  test('lists the preferred leader first and disaster-recovery replicas last (K5)', () => {
    expect(data({ preferredLeader: 'trading-1', disasterRecovery: { replicas: 1 }, port: 6000 })['failover.csv']).toBe(
      ['trading-1', 'trading-0', 'trading-2', 'trading-dr-0'].map((pod) => `${pod}.trading-members.desk.svc,6000\n`).join(''),
    );
  });

  test('makes followers of disaster-recovery replicas alone (K11)', () => {
    expect(data({})['delta.profile']).toContain('export DELTACONTROL_ALWAYS_FOLLOWER=NO\n');
    expect(data({})['delta-dr.profile']).toContain('export DELTACONTROL_ALWAYS_FOLLOWER=YES\n');
  });

  test('has profiles that a shell can source as they are', () => {
    for (const key of ['delta.profile', 'delta-dr.profile']) expect(data({})[key]).toMatch(/^(export [A-Z_]+=[A-Za-z0-9./:-]+\n)+$/);
  });
});

describe('rights', () => {
  const rights = (name: string, spec?: object) =>
    ((find(`Role/${name}`, spec) as V1Role).rules ?? []).map(
      ({ resources = [], resourceNames = [], verbs }) => `${verbs.join(' ')} ${resources.join()}: ${resourceNames.join(' ')}`,
    );

  test('let members write the leader Lease, and their own Leases and pods', () => {
    expect(rights('trading')).toEqual([
      'get list watch update patch leases: trading-leader trading-0 trading-1 trading-2',
      'get patch pods: trading-0 trading-1 trading-2',
    ]);
  });

  test('give a disaster-recovery replica none on the leader Lease (I4)', () => {
    expect(rights('trading-dr', { disasterRecovery: { replicas: 2 } })).toEqual([
      'get list watch update patch leases: trading-dr-0 trading-dr-1',
      'get patch pods: trading-dr-0 trading-dr-1',
    ]);
  });

  test('are none without disaster-recovery replicas: an empty list of names would mean all (I4)', () => {
    expect(rights('trading-dr')).toEqual([]);
  });
});

describe('Services', () => {
  test.each([
    ['trading', 'leader'],
    ['trading-followers', 'follower'],
  ])('%s selects the role %s', (name, role) => {
    const { spec } = find(`Service/${name}`, { port: 6000 }) as V1Service;
    expect(spec?.selector).toEqual({ 'controlcluster.io/cluster': 'trading', 'controlcluster.io/role': role });
    expect(spec?.ports).toMatchObject([{ port: 6000, targetPort: 'process' }]);
  });

  test('name all pods, ready or not', () => {
    const { spec } = find('Service/trading-members') as V1Service;
    expect(spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true, selector: { 'controlcluster.io/cluster': 'trading' } });
  });
});

test('Leases are applied without a holder, so that an apply never takes one away', () => {
  const leases = objects({ disasterRecovery: { replicas: 1 } }).filter(({ kind }) => kind === 'Lease');
  expect(leases).toHaveLength(5);
  for (const lease of leases) {
    expect(Object.keys(lease)).toEqual(['apiVersion', 'kind', 'metadata']);
    expect(lease.metadata?.annotations).toBeUndefined();
  }
});

test.each([
  [{ members: 3 }, 3],
  [{ members: 5, startup: { policy: 'Quorum' } }, 3],
  [{ members: 4, startup: { policy: 'Quorum' } }, 3],
  [{ members: 1, startup: { policy: 'Quorum' } }, 1],
])('the PodGroup of %j wants %d pods together (K7)', (spec, minCount) => {
  expect((find('PodGroup/trading', spec) as PodGroup).spec.schedulingPolicy.gang.minCount).toBe(minCount);
});

test('the NetworkPolicy admits the Process API and the declared ports of the containers, nothing else', () => {
  const containers = [{ name: 'control', image: 'a', ports: [{ containerPort: 8080 }, { containerPort: 53, protocol: 'UDP' }] }];
  const { spec } = find('NetworkPolicy/trading', { template: { spec: { containers } } }) as V1NetworkPolicy;
  expect(spec?.policyTypes).toEqual(['Ingress']);
  expect(spec?.ingress).toEqual([
    {
      ports: [
        { port: 5000, protocol: 'TCP' },
        { port: 8080, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
    },
  ]);
});

describe('StatefulSets', () => {
  /** What an existing StatefulSet refuses to have changed: a later version of the operator has to make the same. */
  const fixed = (name: string, spec: object) => {
    const set = (find(`StatefulSet/${name}`, spec) as V1StatefulSet).spec;
    return { serviceName: set?.serviceName, selector: set?.selector, policy: set?.podManagementPolicy, claims: set?.volumeClaimTemplates };
  };
  const claims = (more: object) => [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'controlcluster-data', labels: { 'controlcluster.io/cluster': 'trading' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } }, ...more },
    },
  ];

  test.each([
    ['trading', 'member', {}, {}],
    ['trading-dr', 'disaster-recovery', { storage: { storageClassName: 'fast' } }, { storageClassName: 'fast' }],
  ])('%s is made of what never changes', (name, component, spec, claim) => {
    expect(fixed(name, spec)).toEqual({
      serviceName: 'trading-members',
      selector: { matchLabels: { 'controlcluster.io/cluster': 'trading', 'app.kubernetes.io/component': component } },
      policy: 'Parallel',
      claims: claims(claim),
    });
  });

  test('leave roll-outs to the operator and volumes to people', () => {
    const { spec } = find('StatefulSet/trading', { members: 5 }) as V1StatefulSet;
    expect(spec).toMatchObject({
      replicas: 5,
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    });
  });

  test('have as many disaster-recovery replicas as asked for', () => {
    expect((find('StatefulSet/trading-dr', {}) as V1StatefulSet).spec?.replicas).toBe(0);
    expect((find('StatefulSet/trading-dr', { disasterRecovery: { replicas: 2 } }) as V1StatefulSet).spec?.replicas).toBe(2);
  });
});

test('the selector for the scale subresource is that of the members', () => {
  expect(memberSelectorText(controlCluster())).toBe('controlcluster.io/cluster=trading,app.kubernetes.io/component=member');
});

describe('warningsFor', () => {
  const replication = { durability: 'Leader', nats: { url: 'nats://nats:4222' } };
  test.each([
    [{}, []],
    [{ members: 4 }, ['EvenMembers']],
    [{ members: 2, replication }, ['EvenMembers', 'LeaderDurability']],
    [{ archive: { schedule: '0 2 29 2 *' } }, []],
    [{ archive: { schedule: '0 2 30 2 *' } }, ['ArchiveNeverDue']],
  ])('for %j says %j', (spec, reasons) => {
    expect(warningsFor(controlCluster(spec).spec).map(({ reason }) => reason)).toEqual(reasons);
  });
});
