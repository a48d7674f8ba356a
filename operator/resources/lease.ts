// The Leases that the sidecars write: one for the leader, one for each pod's report.
// Only metadata is applied: holder, times and the annotations of a start round or a report are never touched by an apply.
import type { V1Lease } from '@kubernetes/client-node';
import { leaderLeaseName, memberLeaseName } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { drPods, memberPods, objectMeta } from './identity.ts';
import type { Component } from './identity.ts';

const lease = (cluster: ControlCluster, name: string, component?: Component): V1Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: objectMeta(cluster, name, component),
});

export const leaderLease = (cluster: ControlCluster): V1Lease => lease(cluster, leaderLeaseName(cluster.metadata.name));

export const memberLeases = (cluster: ControlCluster): V1Lease[] => [
  ...memberPods(cluster).map((pod) => lease(cluster, memberLeaseName(pod), 'member')),
  ...drPods(cluster).map((pod) => lease(cluster, memberLeaseName(pod), 'disaster-recovery')),
];
