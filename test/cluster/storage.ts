// Dynamic volumes: local-path-provisioner runs on the machine, outside of the cluster, and makes a directory on the node that the pod was
// scheduled to, by a short-lived pod of the base image. The volumes are of kind `local`: bound to their node, and owned by the pod's fsGroup. Sizes
// are not enforced.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { binary } from './build.ts';
import type { Component } from './control-plane.ts';
import { baseReference } from './image.ts';
import { volumeDirectory } from './node.ts';
import type { Authority } from './pki.ts';
import { stateDirectory } from './state.ts';

const provisioner = 'controlcluster.io/bundled-local-path';
const namespace = 'local-path-storage';
const scripts = 'local-path-config';
const account = 'default';

export async function prepareStorage(authority: Authority, url: string, nodes: readonly string[]): Promise<Component> {
  const kubeconfig = join(stateDirectory, 'provisioner.kubeconfig');
  await authority.writeKubeconfig(kubeconfig, url, {
    name: 'provisioner',
    commonName: 'local-path-provisioner',
    organization: 'system:masters',
  });
  const config = join(stateDirectory, 'provisioner.json');
  await writeFile(config, JSON.stringify({ nodePathMap: nodes.map((node) => ({ node, paths: [volumeDirectory(node)] })) }, null, 2));
  const helper = join(stateDirectory, 'provisioner-pod.json');
  await writeFile(helper, JSON.stringify(helperPod(), null, 2));
  return {
    name: 'local-path-provisioner',
    program: await binary('local-path-provisioner'),
    args: [
      ...['start', '--kubeconfig', kubeconfig, '--config', config, '--helper-pod-file', helper, '--helper-image', baseReference],
      ...['--provisioner-name', provisioner, '--namespace', namespace, '--configmap-name', scripts, '--service-account-name', account],
    ],
  };
}

/** The default StorageClass, and what the pods that make and remove directories run. */
export function storageObjects(): object[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: scripts, namespace },
      data: { setup: 'mkdir -m 0770 -p "$VOL_DIR"', teardown: 'rm -rf "$VOL_DIR"' },
    },
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'local-path', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true', defaultVolumeType: 'local' } },
      provisioner,
      volumeBindingMode: 'WaitForFirstConsumer',
      reclaimPolicy: 'Delete',
    },
  ];
}

function helperPod(): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'volume' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'volume', image: baseReference, imagePullPolicy: 'IfNotPresent' }],
    },
  };
}
