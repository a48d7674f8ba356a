// The pods: the sidecar in the user's template, what the two share, what is refused, and the `restricted` Pod Security Standard.
import { describe, expect, test } from '@jest/globals';
import type { V1Container, V1PodSpec, V1PodTemplateSpec, V1StatefulSet } from '@kubernetes/client-node';
import { desiredObjects } from '../../operator/resources/desired.ts';
import { controlCluster, restrictedContainer, sidecarSettings } from '../lib/control-cluster.ts';

function template(spec: object, name = 'trading', podGroups = true): V1PodTemplateSpec {
  const desired = desiredObjects(controlCluster(spec), { podGroups, podMonitors: false }, sidecarSettings);
  if ('invalid' in desired) throw new Error(desired.invalid.message);
  const found = desired.objects.find((object) => object.kind === 'StatefulSet' && object.metadata?.name === name) as V1StatefulSet;
  return found.spec?.template ?? {};
}
function pod(spec: object, name?: string, podGroups?: boolean): V1PodSpec {
  const found = template(spec, name, podGroups).spec;
  if (found === undefined) throw new Error('no pod specification');
  return found;
}
const withPod = (spec: object) => ({ template: { spec } });
const control = { name: 'control', image: 'example/control:1' };
const sidecarOf = ({ initContainers = [], containers }: V1PodSpec): V1Container | undefined =>
  [...initContainers, ...containers].find(({ name }) => name === 'controlcluster');
const environment = (container: V1Container | undefined) =>
  Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
const mounts = (container: V1Container | undefined) => (container?.volumeMounts ?? []).map(({ name }) => name);

describe('the sidecar', () => {
  test('is the first init container and goes on running, so that its start-up probe holds back all others (I7)', () => {
    const { initContainers, containers } = pod(withPod({ initContainers: [{ name: 'prepare', image: 'a' }], containers: [control] }));
    expect(initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
      ['controlcluster', 'Always'],
      ['prepare', undefined],
    ]);
    expect(containers.map(({ name }) => name)).toEqual(['control']);
    expect(initContainers?.[0]?.startupProbe?.httpGet?.path).toBe('/startupz');
  });

  test('waits at the gate for as long as it takes: the probe does not kill it', () => {
    const probe = sidecarOf(pod({}))?.startupProbe;
    const yearSeconds = 365 * 24 * 3600;
    expect((probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0)).toBeGreaterThan(yearSeconds);
  });

  test('hands over when the pod is deleted, before the user containers have ended', () => {
    expect(sidecarOf(pod(withPod({ containers: [control] })))?.lifecycle?.preStop?.exec?.command).toEqual([
      'node',
      '/app/sidecar/prestop.ts',
    ]);
  });

  test.each([[{}], [{ template: {} }], [withPod({ nodeSelector: { disk: 'fast' } })], [withPod({ containers: [] })]])(
    'is the container of a pod that has no other: %j',
    (spec) => {
      const { containers, initContainers } = pod(spec);
      expect(containers.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([['controlcluster', undefined]]);
      expect(initContainers).toEqual([]);
    },
  );

  test('learns the whole specification from its environment', () => {
    const spec = {
      members: 5,
      port: 6000,
      election: { leaseDuration: '2s', renewDeadline: '1s', retryPeriod: '250ms' },
      startup: { divergedMember: 'Block' },
      archive: { schedule: '30 2 * * 1-5' },
      replication: { durability: 'Leader', nats: { url: 'tls://nats:4222', replicas: 3, credentialsSecret: 'login', tlsSecret: 'ca' } },
    };
    expect(environment(sidecarOf(pod(spec)))).toMatchObject({
      CC_CLUSTER: 'trading',
      CC_KIND: 'member',
      CC_PORT: '6000',
      CC_DURABILITY: 'Leader',
      CC_DIVERGED_MEMBER: 'Block',
      CC_ARCHIVE_SCHEDULE: '30 2 * * 1-5',
      CC_ARCHIVE_KEEP: '7',
      CC_NATS_URL: 'tls://nats:4222',
      CC_NATS_REPLICAS: '3',
      CC_LEASE_DURATION_MS: '2000',
      CC_RENEW_DEADLINE_MS: '1000',
      CC_RETRY_PERIOD_MS: '250',
      CC_LOG_LEVEL: 'info',
      DELTA_CONFIG: '/etc/controlcluster',
    });
    expect(environment(sidecarOf(pod(spec, 'trading-dr')))['CC_KIND']).toBe('dr');
    expect(Object.keys(environment(sidecarOf(pod({})))).filter((name) => name.startsWith('CC_ARCHIVE'))).toEqual([]);
  });

  test('finds the Secrets that are named, and no place for those that are not', () => {
    const named = pod({ replication: { nats: { url: 'nats://n:1', credentialsSecret: 'login', tlsSecret: 'ca' } } });
    const sidecar = sidecarOf(named);
    for (const key of ['CC_NATS_CREDENTIALS_DIR', 'CC_NATS_CA_FILE']) {
      const path = environment(sidecar)[key] ?? '';
      expect(sidecar?.volumeMounts?.some(({ mountPath }) => path.startsWith(mountPath))).toBe(true);
      expect(environment(sidecarOf(pod({})))[key]).toBeUndefined();
    }
    expect(named.volumes?.flatMap(({ secret }) => secret?.secretName ?? [])).toEqual(['login', 'ca']);
    expect(pod({}).volumes?.some(({ secret }) => secret !== undefined)).toBe(false);
  });

  test('has a mount for every volume, and a volume for every mount', () => {
    const spec = pod({ replication: { nats: { url: 'nats://n:1', credentialsSecret: 'login', tlsSecret: 'ca' } } });
    const volumes = ['controlcluster-data', ...(spec.volumes ?? []).map(({ name }) => name)];
    expect(mounts(sidecarOf(spec)).toSorted()).toEqual(volumes.toSorted());
  });
});

describe("the user's containers", () => {
  const { initContainers = [], containers } = pod(
    withPod({
      initContainers: [{ name: 'prepare', image: 'a' }],
      containers: [
        {
          ...control,
          env: [
            { name: 'MODE', value: 'x' },
            { name: 'DELTA_CONFIG', value: '/mine' },
          ],
        },
      ],
    }),
  );

  test('find the configuration and the Process API', () => {
    expect(environment(initContainers[1])).toEqual({ DELTA_CONFIG: '/etc/controlcluster', CONTROLCLUSTER_URL: 'http://127.0.0.1:5000' });
  });

  test('keep a variable that they set themselves', () => {
    expect(environment(containers[0])).toEqual({ MODE: 'x', DELTA_CONFIG: '/mine', CONTROLCLUSTER_URL: 'http://127.0.0.1:5000' });
    expect(containers[0]?.env).toHaveLength(3);
  });

  test('see configuration and status file read-only, and neither the journal nor a token', () => {
    for (const container of [...containers, ...initContainers.slice(1)]) {
      expect(mounts(container)).toEqual(['controlcluster-config', 'controlcluster-run']);
      expect(container.volumeMounts?.every(({ readOnly }) => readOnly === true)).toBe(true);
    }
    expect(pod({}).automountServiceAccountToken).toBe(false);
    expect(pod(withPod({ automountServiceAccountToken: true })).automountServiceAccountToken).toBe(true);
  });
});

describe('the pod', () => {
  test('has the labels and annotations of the template, and those that name it', () => {
    const metadata = { labels: { team: 'fx', 'app.kubernetes.io/name': 'mine' }, annotations: { note: 'a' } };
    expect(template({ template: { metadata } }).metadata).toEqual({
      labels: {
        team: 'fx',
        'app.kubernetes.io/name': 'controlcluster',
        'app.kubernetes.io/instance': 'trading',
        'app.kubernetes.io/managed-by': 'controlcluster-operator',
        'app.kubernetes.io/component': 'member',
        'controlcluster.io/cluster': 'trading',
      },
      annotations: { note: 'a' },
    });
    expect(template({}, 'trading-dr').metadata?.labels?.['controlcluster.io/always-follower']).toBe('true');
  });

  test('belongs to the gang when it is a member and the API server has gangs', () => {
    expect(pod({}).schedulingGroup).toEqual({ podGroupName: 'trading' });
    expect(pod({}, 'trading', false).schedulingGroup).toBeUndefined();
    expect(pod({}, 'trading-dr').schedulingGroup).toBeUndefined();
  });

  test('is spread over nodes unless the template says otherwise', () => {
    expect(pod({}).topologySpreadConstraints).toMatchObject([
      { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
    ]);
    const own = [{ maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }];
    expect(pod(withPod({ topologySpreadConstraints: own })).topologySpreadConstraints).toEqual(own);
  });

  test('takes thirty seconds to end unless the template says otherwise', () => {
    expect(pod({}).terminationGracePeriodSeconds).toBe(30);
    expect(pod(withPod({ terminationGracePeriodSeconds: 90 })).terminationGracePeriodSeconds).toBe(90);
  });

  test('of disaster recovery goes where it is told to', () => {
    const user = { nodeSelector: { disk: 'fast' }, tolerations: [{ key: 'a' }], affinity: { podAffinity: {} } };
    const disasterRecovery = {
      nodeSelector: { region: 'dr' },
      tolerations: [{ key: 'b' }],
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [{ topologyKey: 'rack' }],
    };
    expect(pod({ ...withPod(user), disasterRecovery }, 'trading-dr')).toMatchObject({
      nodeSelector: { disk: 'fast', region: 'dr' },
      tolerations: [{ key: 'a' }, { key: 'b' }],
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [{ topologyKey: 'rack' }],
      serviceAccountName: 'trading-dr',
    });
    expect(pod({ ...withPod(user), disasterRecovery })).toMatchObject({ ...user, serviceAccountName: 'trading' });
  });
});

describe('a template that cannot be joined with the sidecar is refused:', () => {
  const mount = (name: string, mountPath: string) => ({ containers: [{ ...control, volumeMounts: [{ name, mountPath }] }] });
  test.each([
    ['a container without a name', { containers: [{ image: 'a' }] }, 'InvalidTemplate', 'spec.template.spec.containers[0].name'],
    ['a list that is none', { containers: [{ ...control, env: 'A=b' }] }, 'InvalidTemplate', 'spec.template.spec.containers[0].env'],
    [
      'a port that is no number',
      { containers: [{ ...control, ports: [{ containerPort: 'http' }] }] },
      'InvalidTemplate',
      'ports[0].containerPort',
    ],
    ['null in place of a list', { tolerations: null }, 'InvalidTemplate', 'spec.template.spec.tolerations'],
    ['the network of the node', { hostNetwork: true, containers: [control] }, 'HostNetwork', 'spec.template.spec.hostNetwork'],
    ['another account', { serviceAccountName: 'mine' }, 'ServiceAccountSet', 'spec.template.spec.serviceAccountName'],
    ['another account by its old field', { serviceAccount: 'mine' }, 'ServiceAccountSet', 'spec.template.spec.serviceAccount'],
    ['another gang', { schedulingGroup: { podGroupName: 'x' } }, 'SchedulingGroupSet', 'spec.template.spec.schedulingGroup'],
    [
      'the port of the Process API',
      { containers: [control, { name: 'b', ports: [{ containerPort: 5000 }] }] },
      'PortTaken',
      'containers[1].ports[0]',
    ],
    [
      'the name of that port',
      { containers: [control], initContainers: [{ name: 'b', ports: [{ name: 'process', containerPort: 8080 }] }] },
      'PortNameTaken',
      'initContainers[0].ports[0].name',
    ],
    ['the journal in a container', mount('controlcluster-data', '/data'), 'MountTaken', 'containers[0].volumeMounts[0]'],
    ['the token in a container', mount('controlcluster-token', '/data'), 'MountTaken', 'containers[0].volumeMounts[0]'],
    ['a volume over the configuration', mount('mine', '/etc/controlcluster'), 'MountTaken', 'containers[0].volumeMounts[0]'],
    ['a volume over the configuration, spelled otherwise', mount('mine', '/etc//controlcluster/'), 'MountTaken', 'volumeMounts[0]'],
    ['a volume below the status file', mount('mine', '/run/controlcluster/x'), 'MountTaken', 'containers[0].volumeMounts[0]'],
    ['that in an init container', { initContainers: mount('mine', '/run/controlcluster').containers }, 'MountTaken', 'initContainers[0]'],
  ])('%s', (_, spec, reason, field) => {
    const desired = desiredObjects(controlCluster(withPod(spec)), { podGroups: true, podMonitors: true }, sidecarSettings);
    expect(desired).toEqual({ invalid: { reason, message: expect.stringContaining(field) } });
  });

  test.each([
    ['a neighbour of the configuration', mount('mine', '/etc/controlcluster-mine')],
    ['the same port for datagrams', { containers: [{ ...control, ports: [{ containerPort: 5000, protocol: 'UDP' }] }] }],
    ['the node network switched off', { hostNetwork: false }],
  ])('but not %s', (_, spec) => {
    expect(desiredObjects(controlCluster(withPod(spec)), { podGroups: true, podMonitors: true }, sidecarSettings)).toHaveProperty(
      'objects',
    );
  });
});

/** The rules of the `restricted` Pod Security Standard that concern what the operator adds; each names what breaks it. */
function breaches(spec: V1PodSpec): string[] {
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  const kinds = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret'];
  const volumes = (spec.volumes ?? []).filter((volume) => !Object.keys(volume).every((key) => key === 'name' || kinds.includes(key)));
  return [
    ...volumes.map(({ name }) => `volume ${name}`),
    ...(spec.hostNetwork === true || spec.hostPID === true || spec.hostIPC === true ? ['host namespaces'] : []),
    ...all.flatMap(({ name, securityContext: own = {}, ports = [] }) => [
      ...((own.runAsNonRoot ?? spec.securityContext?.runAsNonRoot) === true ? [] : [`${name}: runAsNonRoot`]),
      ...((own.runAsUser ?? spec.securityContext?.runAsUser) === 0 ? [`${name}: runAsUser`] : []),
      ...(own.allowPrivilegeEscalation === false && own.privileged !== true ? [] : [`${name}: privilege`]),
      ...(own.capabilities?.drop?.includes('ALL') === true && (own.capabilities.add ?? []).length === 0 ? [] : [`${name}: capabilities`]),
      ...((own.seccompProfile ?? spec.securityContext?.seccompProfile)?.type === 'RuntimeDefault' ? [] : [`${name}: seccomp`]),
      ...(ports.some(({ hostPort }) => hostPort !== undefined) ? [`${name}: hostPort`] : []),
    ]),
  ];
}

describe('the restricted Pod Security Standard', () => {
  const secrets = { replication: { nats: { url: 'tls://n:1', credentialsSecret: 'login', tlsSecret: 'ca' } } };
  test.each([
    ['of a sidecar alone', {}],
    ['with Secrets', secrets],
    [
      'of a template that keeps it',
      withPod({ containers: [restrictedContainer], initContainers: [{ ...restrictedContainer, name: 'prepare' }] }),
    ],
  ])('is kept by the pods %s', (_, spec) => {
    for (const name of ['trading', 'trading-dr']) expect(breaches(pod(spec, name))).toEqual([]);
  });

  test('is broken by a template that breaks it, and only there', () => {
    expect(breaches(pod(withPod({ containers: [control] }))).every((breach) => breach.startsWith('control:'))).toBe(true);
    expect(breaches(pod(withPod({ containers: [control] })))).toHaveLength(4);
  });

  test('has the sidecar on a read-only root file system', () => {
    expect(sidecarOf(pod({}))?.securityContext?.readOnlyRootFilesystem).toBe(true);
  });
});
