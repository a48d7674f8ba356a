// The ConfigMap behind `$DELTA_CONFIG`: failover.csv (K5) and delta.profile, one profile for members and one for disaster-recovery replicas (K11).
// Each kind of pod sees its own as `delta.profile`; a change reaches running pods without a restart.
import type { V1ConfigMap, V1KeyToPath } from '@kubernetes/client-node';
import { formatFailover } from '../../common/failover.ts';
import { configDirectory, configMapName, podHost } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { drPods, memberPods, objectMeta } from './identity.ts';
import type { Component } from './identity.ts';

const profileKey: Readonly<Record<Component, string>> = { member: 'delta.profile', 'disaster-recovery': 'delta-dr.profile' };

/** Which keys a pod sees, under which names. */
export const configItems = (component: Component): V1KeyToPath[] => [
  { key: 'failover.csv', path: 'failover.csv' },
  { key: profileKey[component], path: 'delta.profile' },
];

export const processUrl = (cluster: ControlCluster): string => `http://127.0.0.1:${String(cluster.spec.port)}`;

export function configMap(cluster: ControlCluster): V1ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: objectMeta(cluster, configMapName(cluster.metadata.name)),
    data: {
      'failover.csv': failover(cluster),
      [profileKey.member]: profile(cluster, 'NO'),
      [profileKey['disaster-recovery']]: profile(cluster, 'YES'),
    },
  };
}

function failover(cluster: ControlCluster): string {
  const { metadata, spec } = cluster;
  const members = memberPods(cluster);
  const preferred = members.filter((pod) => pod === spec.preferredLeader);
  const others = members.filter((pod) => pod !== spec.preferredLeader);
  return formatFailover(
    [...preferred, ...others, ...drPods(cluster)].map((pod) => ({
      host: podHost(pod, metadata.name, metadata.namespace),
      port: spec.port,
    })),
  );
}

/** Every value is of letters, digits and `-./:`, so that a shell needs no quotes. */
function profile(cluster: ControlCluster, alwaysFollower: 'YES' | 'NO'): string {
  const variables = {
    DELTA_CONFIG: configDirectory,
    DELTACONTROL_ALWAYS_FOLLOWER: alwaysFollower,
    CONTROLCLUSTER_NAME: cluster.metadata.name,
    CONTROLCLUSTER_NAMESPACE: cluster.metadata.namespace,
    CONTROLCLUSTER_URL: processUrl(cluster),
  };
  return Object.entries(variables)
    .map(([key, value]) => `export ${key}=${value}\n`)
    .join('');
}
