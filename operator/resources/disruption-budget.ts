// Drains and other voluntary evictions take one member at a time. Disaster-recovery replicas count for no majority and have no budget.
import type { V1PodDisruptionBudget } from '@kubernetes/client-node';
import type { ControlCluster } from '../../common/schema.ts';
import { componentSelector, objectMeta } from './identity.ts';

export const disruptionBudget = (cluster: ControlCluster): V1PodDisruptionBudget => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: objectMeta(cluster, cluster.metadata.name, 'member'),
  spec: { maxUnavailable: 1, selector: { matchLabels: componentSelector(cluster, 'member') } },
});
