// The StatefulSets of the members and of the disaster-recovery replicas. All pods start at once (K7); a new template reaches a pod when the pod is
// replaced, one at a time and in the right order, which is not the StatefulSet's to decide (OnDelete). Volumes outlive everything.
// serviceName, selector, podManagementPolicy and volumeClaimTemplates cannot be changed on an existing StatefulSet: they are made of
// the name and of spec.storage alone, which do not change either, and of nothing that a later version of the operator may want to alter.
import type { V1PersistentVolumeClaim, V1StatefulSet } from '@kubernetes/client-node';
import { dataVolume, membersServiceName } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { accountName } from './access.ts';
import { clusterSelector, componentSelector, objectMeta } from './identity.ts';
import { podTemplate } from './pod-template.ts';
import type { PodOptions } from './pod-template.ts';
import type { UserPodSpec } from './user-template.ts';

export function statefulSet(cluster: ControlCluster, user: UserPodSpec, options: PodOptions): V1StatefulSet {
  const { component } = options;
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: objectMeta(cluster, accountName(cluster, component), component),
    spec: {
      serviceName: membersServiceName(cluster.metadata.name),
      replicas: component === 'member' ? cluster.spec.members : cluster.spec.disasterRecovery.replicas,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: componentSelector(cluster, component) },
      template: podTemplate(cluster, user, options),
      volumeClaimTemplates: [claimTemplate(cluster)],
    },
  };
}

function claimTemplate(cluster: ControlCluster): V1PersistentVolumeClaim {
  const { size, storageClassName } = cluster.spec.storage;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: dataVolume, labels: clusterSelector(cluster) },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: size } },
      ...(storageClassName === '' ? {} : { storageClassName }),
    },
  };
}
