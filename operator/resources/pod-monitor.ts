// Tells the Prometheus operator to scrape every pod of the cluster; made only where its PodMonitor resource exists.
import type { KubernetesObject } from '@kubernetes/client-node';
import type { ControlCluster } from '../../common/schema.ts';
import { clusterSelector, objectMeta } from './identity.ts';
import { processPortName } from './service.ts';

/** The part of monitoring.coreos.com/v1 that is used here. */
export interface PodMonitor extends KubernetesObject {
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly podMetricsEndpoints: readonly { readonly port: string; readonly path: string }[];
  };
}

export const podMonitor = (cluster: ControlCluster): PodMonitor => ({
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PodMonitor',
  metadata: objectMeta(cluster, cluster.metadata.name),
  spec: { selector: { matchLabels: clusterSelector(cluster) }, podMetricsEndpoints: [{ port: processPortName, path: '/metrics' }] },
});
