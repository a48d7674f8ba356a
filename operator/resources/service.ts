// The Services: the leader, the followers, and the headless one that gives every pod its DNS name.
// Leader and followers are selected by the role label that each sidecar writes on its own pod; readiness does the rest.
import type { V1Service, V1ServicePort } from '@kubernetes/client-node';
import { followersServiceName, labels, leaderServiceName, membersServiceName } from '../../common/names.ts';
import type { PodRole } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { clusterSelector, objectMeta } from './identity.ts';

/** Name of the container port of the Process API: Services resolve it in each pod, so that pods of an older `spec.port` stay reachable. */
export const processPortName = 'process';

const ports = (cluster: ControlCluster): V1ServicePort[] => [
  { name: processPortName, port: cluster.spec.port, targetPort: processPortName, protocol: 'TCP' },
];

const roleService = (cluster: ControlCluster, name: string, role: PodRole): V1Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: objectMeta(cluster, name),
  spec: { type: 'ClusterIP', ports: ports(cluster), selector: { ...clusterSelector(cluster), [labels.role]: role } },
});

export const leaderService = (cluster: ControlCluster): V1Service =>
  roleService(cluster, leaderServiceName(cluster.metadata.name), 'leader');

export const followersService = (cluster: ControlCluster): V1Service =>
  roleService(cluster, followersServiceName(cluster.metadata.name), 'follower');

/** Members and disaster-recovery replicas alike; they find one another before they are ready. */
export const membersService = (cluster: ControlCluster): V1Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: objectMeta(cluster, membersServiceName(cluster.metadata.name)),
  spec: {
    type: 'ClusterIP',
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    ports: ports(cluster),
    selector: clusterSelector(cluster),
  },
});
