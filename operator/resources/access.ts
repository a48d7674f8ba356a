// What the pods may do at the API server, by name, in their own namespace: members and disaster-recovery replicas apart.
// A disaster-recovery replica has no right of any kind on the leader Lease (I4). Nobody may create or delete: the operator makes the Leases.
// The rights are those of all members together: a StatefulSet has one ServiceAccount (docs/adr/0007).
import type { V1PolicyRule, V1Role, V1RoleBinding, V1ServiceAccount } from '@kubernetes/client-node';
import { drStatefulSetName, leaderLeaseName, memberLeaseName } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { drPods, memberPods, objectMeta } from './identity.ts';
import type { Component } from './identity.ts';

/** ServiceAccount, Role and RoleBinding have the name of the StatefulSet. */
export const accountName = (cluster: ControlCluster, component: Component): string =>
  component === 'member' ? cluster.metadata.name : drStatefulSetName(cluster.metadata.name);

export const serviceAccount = (cluster: ControlCluster, component: Component): V1ServiceAccount => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: objectMeta(cluster, accountName(cluster, component), component),
  automountServiceAccountToken: false,
});

export function role(cluster: ControlCluster, component: Component): V1Role {
  const pods = component === 'member' ? memberPods(cluster) : drPods(cluster);
  const leaderLease = component === 'member' ? [leaderLeaseName(cluster.metadata.name)] : [];
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: objectMeta(cluster, accountName(cluster, component), component),
    rules: [
      ...onNames(
        'coordination.k8s.io',
        'leases',
        ['get', 'list', 'watch', 'update', 'patch'],
        [...leaderLease, ...pods.map(memberLeaseName)],
      ),
      ...onNames('', 'pods', ['get', 'patch'], pods),
    ],
  };
}

/** No names, no rule: to RBAC an empty list means every name. */
function onNames(group: string, resource: string, verbs: string[], names: string[]): V1PolicyRule[] {
  return names.length === 0 ? [] : [{ apiGroups: [group], resources: [resource], resourceNames: names, verbs }];
}

export const roleBinding = (cluster: ControlCluster, component: Component): V1RoleBinding => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: objectMeta(cluster, accountName(cluster, component), component),
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: accountName(cluster, component) },
  subjects: [{ kind: 'ServiceAccount', name: accountName(cluster, component), namespace: cluster.metadata.namespace }],
});
