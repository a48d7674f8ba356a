// One node of the bundled cluster: a network namespace (network.ts) with a containerd, a kubelet and a kube-proxy of its own, and a control
// group for its pods. Prepares directories and configuration and says what to run; all of it is under the state directory, except what
// the kubelet and the network plugins write at fixed places (teardown.ts removes that).

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildAll } from './build.ts';
import { createNodeGroup, nodeGroup } from './cgroup.ts';
import type { Component } from './control-plane.ts';
import { dnsServiceAddress } from './dns.ts';
import { pauseReference } from './image.ts';
import { containerdConfig } from './image-store.ts';
import { podRange } from './network.ts';
import type { NodeAddress } from './network.ts';
import type { Authority } from './pki.ts';
import { pluginDirectory } from './prerequisites.ts';
import { stateDirectory } from './state.ts';

export interface NodeParts {
  readonly containerd: Component;
  /** The socket of the node's containerd. */
  readonly socket: string;
  readonly kubelet: Component;
  readonly proxy: Component;
}

export interface NodeOptions {
  readonly address: NodeAddress;
  readonly region: 'main' | 'dr';
  readonly authority: Authority;
  readonly url: string;
}

export function nodeDirectory(name: string): string {
  return join(stateDirectory, 'nodes', name);
}

/** Where the volumes of the node's pods are. */
export function volumeDirectory(name: string): string {
  return join(nodeDirectory(name), 'volumes');
}

/** What the node's containerd keeps on disk; a store of image-store.ts is put there before its first start. */
export function imageDirectory(name: string): string {
  return join(nodeDirectory(name), 'containerd');
}

/** The socket of the node's containerd. */
export function containerdSocket(name: string): string {
  return join(nodeDirectory(name), 'containerd.sock');
}

/** Makes what is missing of the node and says what to run. */
export async function prepareNode(options: NodeOptions): Promise<NodeParts> {
  const { address, authority, url } = options;
  const { name, namespace } = address;
  const directory = nodeDirectory(name);
  for (const part of ['cni', 'kubelet', 'pods', 'volumes']) await mkdir(join(directory, part), { recursive: true });
  await createNodeGroup(name);
  const root = imageDirectory(name);
  const programs = await buildAll(['kubelet', 'kube-proxy']);
  const socket = containerdSocket(name);
  await writeFile(join(directory, 'containerd.toml'), await containerdConfiguration(directory, root, socket));
  await writeFile(join(directory, 'cni', '10-pods.conflist'), JSON.stringify(podNetwork(address), null, 2));
  const kubeletConfig = join(directory, 'kubelet.json');
  await writeFile(kubeletConfig, JSON.stringify(await kubeletConfiguration(options, socket), null, 2));
  const kubeletUser = {
    name: `kubelet-${name}`,
    commonName: `system:node:${name}`,
    organization: 'system:nodes',
    alternativeNames: [`DNS:${name}`, `IP:${address.address}`],
  };
  await authority.writeKubeconfig(join(directory, 'kubelet.kubeconfig'), url, kubeletUser);
  await authority.writeKubeconfig(join(directory, 'proxy.kubeconfig'), url, { name: `proxy-${name}`, commonName: 'system:kube-proxy' });
  return {
    socket,
    containerd: { name: `containerd-${name}`, namespace, program: 'containerd', args: ['--config', join(directory, 'containerd.toml')] },
    kubelet: {
      name: `kubelet-${name}`,
      namespace,
      program: programs.get('kubelet') ?? 'kubelet',
      args: [
        ...[
          `--config=${kubeletConfig}`,
          `--kubeconfig=${join(directory, 'kubelet.kubeconfig')}`,
          `--root-dir=${join(directory, 'kubelet')}`,
        ],
        ...[`--hostname-override=${name}`, `--node-ip=${address.address}`, `--node-labels=topology.kubernetes.io/region=${options.region}`],
      ],
    },
    proxy: {
      name: `kube-proxy-${name}`,
      namespace,
      program: programs.get('kube-proxy') ?? 'kube-proxy',
      args: [
        ...[`--kubeconfig=${join(directory, 'proxy.kubeconfig')}`, `--hostname-override=${name}`, `--cluster-cidr=${podRange}`],
        // The machine's table of connections is not the cluster's to resize.
        ...['--proxy-mode=iptables', '--conntrack-max-per-core=0'],
      ],
    },
  };
}

async function containerdConfiguration(directory: string, root: string, address: string): Promise<string> {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return [
    containerdConfig({ root, state: join(directory, 'containerd-state'), address }),
    `[${cri}]`,
    // Without CAP_SYS_RESOURCE a container's OOM score cannot be lowered, and no sandbox would start.
    '  restrict_oom_score_adj = true',
    `  sandbox_image = ${JSON.stringify(pauseReference)}`,
    '  stream_server_address = "127.0.0.1"',
    '  netns_mounts_under_state_dir = true',
    `[${cri}.cni]`,
    `  bin_dir = ${JSON.stringify((await pluginDirectory()) ?? '/opt/cni/bin')}`,
    `  conf_dir = ${JSON.stringify(join(directory, 'cni'))}`,
    `[${cri}.containerd.runtimes.runc]`,
    '  runtime_type = "io.containerd.runc.v2"',
    `[${cri}.containerd.runtimes.runc.options]`,
    `  Root = ${JSON.stringify(join(directory, 'runc'))}`,
    '',
  ].join('\n');
}

function podNetwork(address: NodeAddress): object {
  const ipam = {
    type: 'host-local',
    dataDir: join(nodeDirectory(address.name), 'addresses'),
    ranges: [[{ subnet: address.pods }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  return {
    cniVersion: '0.4.0',
    name: `controlcluster-${address.name}`,
    plugins: [
      { type: 'bridge', bridge: 'pods', isGateway: true, ipMasq: false, hairpinMode: true, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

async function kubeletConfiguration({ address, authority }: NodeOptions, socket: string): Promise<object> {
  const directory = nodeDirectory(address.name);
  const serving = await authority.issue({
    name: `kubelet-${address.name}`,
    commonName: `system:node:${address.name}`,
    organization: 'system:nodes',
    alternativeNames: [`DNS:${address.name}`, `IP:${address.address}`],
  });
  const resolver = join(directory, 'resolv.conf');
  // The machine's search domains and name servers are none of the pods' business.
  await writeFile(resolver, '');
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: nodeGroup(address.name),
    authentication: { anonymous: { enabled: false }, x509: { clientCAFile: authority.certificate }, webhook: { enabled: true } },
    authorization: { mode: 'Webhook' },
    tlsCertFile: serving.certificate,
    tlsPrivateKeyFile: serving.key,
    containerRuntimeEndpoint: `unix://${socket}`,
    podLogsDir: join(directory, 'pods'),
    resolvConf: resolver,
    clusterDNS: [dnsServiceAddress],
    clusterDomain: 'cluster.local',
    failSwapOn: false,
    readOnlyPort: 0,
    // The nodes share the machine's disk: how full it is says nothing about the cluster, and a removed image could not be pulled again.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '100Mi', 'imagefs.available': '100Mi' },
    imageGCHighThresholdPercent: 100,
    // Heartbeats every 5 s; the controller manager of this cluster counts a node as gone after 20 s without one.
    nodeStatusUpdateFrequency: '5s',
    nodeLeaseDurationSeconds: 20,
    syncFrequency: '10s',
  };
}
