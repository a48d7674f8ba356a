// The kinds that the operator watches and writes: how to find each at the API server.
import { apiVersion as ownVersion, kind as ownKind, plural as ownPlural } from '../../common/names.ts';

export interface ResourceKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
}

const resource = (apiVersion: string, kind: string, plural: string): ResourceKind => ({ apiVersion, kind, plural });

export const clusterKind = resource(ownVersion, ownKind, ownPlural);
export const podKind = resource('v1', 'Pod', 'pods');
export const leaseKind = resource('coordination.k8s.io/v1', 'Lease', 'leases');
export const eventKind = resource('events.k8s.io/v1', 'Event', 'events');
export const podGroupKind = resource('scheduling.k8s.io/v1beta1', 'PodGroup', 'podgroups');
export const podMonitorKind = resource('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors');

/** What every supported API server has; Leases among them. */
export const ownedKinds: readonly ResourceKind[] = [
  resource('v1', 'ConfigMap', 'configmaps'),
  resource('v1', 'Service', 'services'),
  resource('v1', 'ServiceAccount', 'serviceaccounts'),
  resource('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
  resource('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  resource('apps/v1', 'StatefulSet', 'statefulsets'),
  resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  leaseKind,
];

const everyKind = new Map([clusterKind, podKind, eventKind, podGroupKind, podMonitorKind, ...ownedKinds].map((one) => [one.kind, one]));

/** Throws when the kind is none of ours. */
export function kindOf(object: { readonly kind: string }): ResourceKind {
  const found = everyKind.get(object.kind);
  if (found === undefined) throw new Error(`unknown kind ${object.kind}`);
  return found;
}

export const groupPath = (apiVersion: string): string => (apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`);

/** All namespaces together. */
export const collectionPath = ({ apiVersion, plural }: ResourceKind): string => `${groupPath(apiVersion)}/${plural}`;

export const namespacedPath = ({ apiVersion, plural }: ResourceKind, namespace: string, name?: string): string =>
  `${groupPath(apiVersion)}/namespaces/${namespace}/${plural}${name === undefined ? '' : `/${name}`}`;
