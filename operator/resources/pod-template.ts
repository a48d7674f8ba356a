// The pod of a member or a disaster-recovery replica: the user's template with the sidecar in it, as the first init container that keeps running.
// The user's containers get the configuration and the status file, read-only; neither the journal nor, unless they ask for it, a token.
import type { V1Container, V1PodSpec, V1PodTemplateSpec } from '@kubernetes/client-node';
import { configDirectory, configVolume, labels, runDirectory, runVolume } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { accountName } from './access.ts';
import { processUrl } from './config-map.ts';
import { commonLabels, componentSelector } from './identity.ts';
import type { Component } from './identity.ts';
import { podGroupName } from './pod-group.ts';
import { sidecarContainer, sidecarUserId, sidecarVolumes } from './sidecar-container.ts';
import type { SidecarSettings } from './sidecar-container.ts';
import type { Plain, UserPodSpec } from './user-template.ts';

export interface PodOptions {
  readonly component: Component;
  /** The API server schedules gangs. */
  readonly podGroups: boolean;
  readonly settings: SidecarSettings;
}

export function podTemplate(cluster: ControlCluster, user: UserPodSpec, options: PodOptions): V1PodTemplateSpec {
  const { component } = options;
  const { metadata } = cluster.spec.template;
  return {
    metadata: {
      labels: {
        ...metadata?.labels,
        ...commonLabels(cluster, component),
        ...(component === 'member' ? {} : { [labels.alwaysFollower]: 'true' }),
      },
      ...(metadata?.annotations === undefined ? {} : { annotations: metadata.annotations }),
    },
    spec: {
      terminationGracePeriodSeconds: 30,
      automountServiceAccountToken: false,
      ...user,
      ...containers(cluster, user, options),
      ...scheduling(cluster, user, options),
      serviceAccountName: accountName(cluster, component),
      securityContext: { fsGroup: sidecarUserId, fsGroupChangePolicy: 'OnRootMismatch', ...user.securityContext },
      volumes: [...sidecarVolumes(cluster, component), ...(user.volumes ?? [])],
    },
  };
}

/** A pod needs a container that is not an init container: without one of the user's, that is the sidecar. */
function containers(
  cluster: ControlCluster,
  user: UserPodSpec,
  { component, settings }: PodOptions,
): Pick<V1PodSpec, 'containers' | 'initContainers'> {
  const sidecar = sidecarContainer(cluster, component, settings);
  const equip = (container: Plain<V1Container>): V1Container => equipped(cluster, container);
  if (user.containers.length === 0) return { containers: [sidecar], initContainers: user.initContainers.map(equip) };
  return {
    initContainers: [{ ...sidecar, restartPolicy: 'Always' }, ...user.initContainers.map(equip)],
    containers: user.containers.map(equip),
  };
}

/** What a variable of the user's is called already stays the user's. */
function equipped(cluster: ControlCluster, container: Plain<V1Container>): V1Container {
  const env = container.env ?? [];
  const ours = [
    { name: 'DELTA_CONFIG', value: configDirectory },
    { name: 'CONTROLCLUSTER_URL', value: processUrl(cluster) },
  ];
  return {
    ...container,
    env: [...ours.filter(({ name }) => !env.some((each) => each.name === name)), ...env],
    volumeMounts: [
      ...(container.volumeMounts ?? []),
      { name: configVolume, mountPath: configDirectory, readOnly: true },
      { name: runVolume, mountPath: runDirectory, readOnly: true },
    ],
  };
}

function scheduling(cluster: ControlCluster, user: UserPodSpec, { component, podGroups }: PodOptions): Partial<V1PodSpec> {
  const spread = [
    {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: componentSelector(cluster, component) },
    },
  ];
  if (component === 'member')
    return {
      topologySpreadConstraints: user.topologySpreadConstraints ?? spread,
      ...(podGroups ? { schedulingGroup: { podGroupName: podGroupName(cluster) } } : {}),
    };
  const recovery = cluster.spec.disasterRecovery;
  // Handed on as they are: the API server checks them when the StatefulSet is applied.
  const { tolerations, affinity, topologySpreadConstraints } = recovery as unknown as Partial<V1PodSpec>;
  return {
    topologySpreadConstraints: topologySpreadConstraints ?? user.topologySpreadConstraints ?? spread,
    nodeSelector: { ...user.nodeSelector, ...recovery.nodeSelector },
    tolerations: [...(user.tolerations ?? []), ...(tolerations ?? [])],
    ...(affinity === undefined ? {} : { affinity }),
  };
}
