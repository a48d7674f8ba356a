// All objects that a ControlCluster wants, complete and in the order in which to apply them (server-side apply, one field manager).
// A pure function of its arguments. What a smaller specification no longer names (a Lease beyond `disasterRecovery.replicas`) is surplus: the plan deletes it.
import type { KubernetesObject } from '@kubernetes/client-node';
import type { ControlCluster } from '../../common/schema.ts';
import { role, roleBinding, serviceAccount } from './access.ts';
import { configMap } from './config-map.ts';
import { disruptionBudget } from './disruption-budget.ts';
import type { Component } from './identity.ts';
import { leaderLease, memberLeases } from './lease.ts';
import { networkPolicy } from './network-policy.ts';
import { podGroup } from './pod-group.ts';
import { podMonitor } from './pod-monitor.ts';
import { followersService, leaderService, membersService } from './service.ts';
import type { SidecarSettings } from './sidecar-container.ts';
import { statefulSet } from './stateful-set.ts';
import { parseTemplate } from './user-template.ts';
import type { Invalid } from './user-template.ts';

/** What this API server offers beyond what every supported version does. */
export interface Capabilities {
  /** scheduling.k8s.io/v1beta1 with gangs. */
  readonly podGroups: boolean;
  /** monitoring.coreos.com/v1. */
  readonly podMonitors: boolean;
}

/** `invalid`: the template cannot be joined with the sidecar; nothing is to be applied until it is corrected. */
export type Desired = { readonly objects: KubernetesObject[] } | { readonly invalid: Invalid };

/** `kept`: members that have pods, those that are to go but still count included. */
export function desiredObjects(
  specified: ControlCluster,
  capabilities: Capabilities,
  settings: SidecarSettings,
  kept: number = specified.spec.members,
): Desired {
  const cluster = { ...specified, spec: { ...specified.spec, members: kept } };
  const parsed = parseTemplate(cluster);
  if ('invalid' in parsed) return parsed;
  const { template } = parsed;
  const each = <T>(build: (component: Component) => T): T[] => [build('member'), build('disaster-recovery')];
  const objects: KubernetesObject[] = [
    // Who is to go stands in failover.csv no more: that is how the leader learns of it.
    configMap(specified),
    ...each((component) => serviceAccount(cluster, component)),
    ...each((component) => role(cluster, component)),
    ...each((component) => roleBinding(cluster, component)),
    leaderLease(cluster),
    ...memberLeases(cluster),
    membersService(cluster),
    leaderService(cluster),
    followersService(cluster),
    networkPolicy(cluster, template),
    disruptionBudget(specified),
    ...(capabilities.podGroups ? [podGroup(cluster)] : []),
    ...each((component) => statefulSet(cluster, template, { component, podGroups: capabilities.podGroups, settings })),
    ...(capabilities.podMonitors ? [podMonitor(cluster)] : []),
  ];
  return { objects };
}
