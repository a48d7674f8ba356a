// The gang of the members (K7), where the API server schedules gangs: all of them get a node, or, with the policy Quorum, a majority; or none.
// Without it the start gate alone holds the user's containers back until enough members are there (docs/adr/0006).
import type { KubernetesObject } from '@kubernetes/client-node';
import type { ControlCluster } from '../../common/schema.ts';
import { objectMeta } from './identity.ts';

/** The part of scheduling.k8s.io/v1beta1 that is used here; the client library knows only the alpha versions. */
export interface PodGroup extends KubernetesObject {
  readonly spec: { readonly schedulingPolicy: { readonly gang: { readonly minCount: number } } };
}

export const podGroupName = (cluster: ControlCluster): string => cluster.metadata.name;

export function podGroup(cluster: ControlCluster): PodGroup {
  const { members, startup } = cluster.spec;
  const minCount = startup.policy === 'All' ? members : Math.floor(members / 2) + 1;
  return {
    apiVersion: 'scheduling.k8s.io/v1beta1',
    kind: 'PodGroup',
    metadata: objectMeta(cluster, podGroupName(cluster), 'member'),
    spec: { schedulingPolicy: { gang: { minCount } } },
  };
}
