// Inbound traffic of the pods: the Process API, which authenticates whoever is not in the pod, and the ports that the user's containers declare; nothing else.
// Outbound traffic is left alone: pods need NATS, the API server and DNS, whose addresses differ from cluster to cluster (docs/adr/0007).
import type { V1NetworkPolicy, V1NetworkPolicyPort } from '@kubernetes/client-node';
import type { ControlCluster } from '../../common/schema.ts';
import { clusterSelector, objectMeta } from './identity.ts';
import type { UserPodSpec } from './user-template.ts';

export function networkPolicy(cluster: ControlCluster, template: UserPodSpec): V1NetworkPolicy {
  const declared = [...template.containers, ...template.initContainers].flatMap((container) => container.ports ?? []);
  const ports: V1NetworkPolicyPort[] = [
    { port: cluster.spec.port, protocol: 'TCP' },
    ...declared.map((port) => ({ port: port.containerPort, protocol: port.protocol ?? 'TCP' })),
  ];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: objectMeta(cluster, cluster.metadata.name),
    spec: { podSelector: { matchLabels: clusterSelector(cluster) }, policyTypes: ['Ingress'], ingress: [{ ports }] },
  };
}
