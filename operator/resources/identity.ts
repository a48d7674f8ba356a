// What all objects of one ControlCluster have in common: labels, owner, and the selectors that tell its pods apart.
// Selectors and claim templates cannot be changed later: what they are made of stays as it is from one version to the next.
import type { V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node';
import { apiVersion, drPodName, kind, labels, memberPodName } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';

export type Component = 'member' | 'disaster-recovery';

/** Pods that this cluster has, in order of their ordinals. */
export const memberPods = (cluster: ControlCluster): string[] =>
  Array.from({ length: cluster.spec.members }, (_, ordinal) => memberPodName(cluster.metadata.name, ordinal));
export const drPods = (cluster: ControlCluster): string[] =>
  Array.from({ length: cluster.spec.disasterRecovery.replicas }, (_, ordinal) => drPodName(cluster.metadata.name, ordinal));

/** Selects every pod of the cluster. */
export const clusterSelector = (cluster: ControlCluster): Record<string, string> => ({ [labels.cluster]: cluster.metadata.name });

/** Selects the members, or the disaster-recovery replicas. */
export const componentSelector = (cluster: ControlCluster, component: Component): Record<string, string> => ({
  ...clusterSelector(cluster),
  'app.kubernetes.io/component': component,
});

/** `status.selector`: the member pods, as the scale subresource wants it. */
export const memberSelectorText = (cluster: ControlCluster): string =>
  Object.entries(componentSelector(cluster, 'member'))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

export const commonLabels = (cluster: ControlCluster, component?: Component): Record<string, string> => ({
  'app.kubernetes.io/name': 'controlcluster',
  'app.kubernetes.io/instance': cluster.metadata.name,
  'app.kubernetes.io/managed-by': 'controlcluster-operator',
  ...(component === undefined ? clusterSelector(cluster) : componentSelector(cluster, component)),
});

const ownerReference = (cluster: ControlCluster): V1OwnerReference => ({
  apiVersion,
  kind,
  name: cluster.metadata.name,
  uid: cluster.metadata.uid,
  controller: true,
  blockOwnerDeletion: true,
});

export const objectMeta = (cluster: ControlCluster, name: string, component?: Component): V1ObjectMeta => ({
  name,
  namespace: cluster.metadata.namespace,
  labels: commonLabels(cluster, component),
  ownerReferences: [ownerReference(cluster)],
});
