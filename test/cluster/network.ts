// The network of the bundled cluster: a bridge on the machine that carries the control plane's address, and one network namespace for each node,
// joined to the bridge by a pair of virtual interfaces, with routes between the pods' ranges. Nothing is forwarded to or from other
// machines: neither address translation nor the machine's forwarding is switched on. Every step may be repeated.

import { readdir, rmdir } from 'node:fs/promises';
import { z } from 'zod';
import { attempt, ClusterError, run } from './command.ts';

const namespaceDirectory = '/run/netns';
const bridge = 'cc-bridge';
const namespacePrefix = 'controlcluster-';
const interfacePrefix = 'cc-';

export const hostAddress = '10.213.0.1';
export const podRange = '10.214.0.0/16';
const nodeRange = '10.213.0.0/24';

export interface NodeAddress {
  readonly name: string;
  /** From 1. */
  readonly index: number;
  readonly address: string;
  readonly pods: string;
  readonly namespace: string;
  /** The machine's end of the pair of interfaces. */
  readonly cable: string;
}

/** The firewall of the machine lets the bridge's traffic through, whatever its policy. */
const firewallRules = [
  ['INPUT', '-i', bridge, '-j', 'ACCEPT'],
  ['FORWARD', '-i', bridge, '-o', bridge, '-j', 'ACCEPT'],
] as const;

export function nodeAddress(index: number): NodeAddress {
  const name = `node${String(index)}`;
  return {
    name,
    index,
    address: `10.213.0.${String(10 + index)}`,
    pods: `10.214.${String(index)}.0/24`,
    namespace: `${namespacePrefix}${name}`,
    cable: `${interfacePrefix}${name}`,
  };
}

export function nodeAddresses(count: number): NodeAddress[] {
  return Array.from({ length: count }, (_, offset) => nodeAddress(offset + 1));
}

/** As `ip -json route` tells them; an address is a route of type `local`. */
const routesSchema = z.array(z.object({ dst: z.string(), dev: z.string().default('nowhere') }));

/**
 * Makes what is missing of the bridge and the nodes' namespaces, and returns the nodes that it had to put on the network. Throws
 * ClusterError, and changes nothing, when the machine uses the cluster's addresses otherwise.
 */
export async function ensureNetwork(nodes: readonly NodeAddress[]): Promise<NodeAddress[]> {
  for (const range of [nodeRange, podRange]) await refuseTaken(range);
  // Traffic between two pods of a node through a Service needs this module; where it cannot be loaded it may be built in.
  await attempt('modprobe', ['br_netfilter']).catch(() => undefined);
  if ((await attempt('ip', ['link', 'show', bridge])).code !== 0) await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  await run('ip', ['address', 'replace', `${hostAddress}/24`, 'dev', bridge]);
  await run('ip', ['link', 'set', bridge, 'up']);
  for (const rule of firewallRules) {
    if ((await attempt('iptables', ['-w', '-C', ...rule])).code !== 0) await run('iptables', ['-w', '-I', ...rule]);
  }
  const joined = await Promise.all(nodes.map(async (node) => ((await ensureNode(node, nodes)) ? [node] : [])));
  return joined.flat();
}

async function refuseTaken(range: string): Promise<void> {
  const routes = await run('ip', ['-json', '-4', 'route', 'show', 'table', 'all', 'root', range]);
  const taken = routesSchema.parse(JSON.parse(routes)).find(({ dev }) => dev !== bridge);
  if (taken === undefined) return;
  throw new ClusterError(
    `The bundled Kubernetes needs the addresses ${range}, and this machine has a route or an address in it: ${taken.dst}, device ${taken.dev}. ` +
      'Remove that, or use another cluster.',
  );
}

/** Whether the node was off the network. */
async function ensureNode(node: NodeAddress, nodes: readonly NodeAddress[]): Promise<boolean> {
  const { namespace, cable } = node;
  const wasOff = await isCut(node);
  if (!(await namespaces()).includes(namespace)) await run('ip', ['netns', 'add', namespace]);
  if (!(await interfaces()).includes(cable))
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
  await run('ip', ['link', 'set', cable, 'master', bridge, 'up']);
  const routes = nodes.filter((other) => other !== node).map((other) => `route replace ${other.pods} via ${other.address}`);
  const inside = [
    'link set lo up',
    `address replace ${node.address}/24 dev eth0`,
    'link set eth0 up',
    `route replace default via ${hostAddress}`,
    ...routes,
  ];
  await run('ip', ['-netns', namespace, '-batch', '-'], { input: `${inside.join('\n')}\n` });
  await run('nsenter', [`--net=${namespaceDirectory}/${namespace}`, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await attempt('nsenter', [`--net=${namespaceDirectory}/${namespace}`, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1']);
  await run('ip', ['route', 'replace', node.pods, 'via', node.address]);
  return wasOff;
}

/** Cuts the node off from all others and from the control plane; its containers run on. */
export async function cut(node: NodeAddress): Promise<void> {
  await run('ip', ['link', 'set', node.cable, 'down']);
}

export async function heal(node: NodeAddress): Promise<void> {
  await run('ip', ['link', 'set', node.cable, 'up']);
}

export async function isCut(node: NodeAddress): Promise<boolean> {
  const { stdout } = await attempt('ip', ['-json', 'link', 'show', node.cable]);
  return !/"UP"/.test(stdout);
}

/** Removes all of it, and what any earlier run has left. */
export async function removeNetwork(): Promise<void> {
  for (const namespace of await namespaces()) await run('ip', ['netns', 'delete', namespace]);
  await forgetNamespaceDirectory();
  for (const name of await interfaces()) await attempt('ip', ['link', 'delete', name]);
  for (const rule of firewallRules) while ((await attempt('iptables', ['-w', '-D', ...rule])).code === 0);
  const left = await networkLeftovers();
  if (left.length > 0) throw new ClusterError(`These parts of the network could not be removed: ${left.join(', ')}.`);
}

/** Names of the interfaces, namespaces and firewall rules of the cluster that exist. */
export async function networkLeftovers(): Promise<string[]> {
  const rules = (await attempt('iptables-save', [])).stdout.split('\n').filter((line) => line.includes(bridge));
  return [...(await interfaces()), ...(await namespaces()), ...rules];
}

async function interfaces(): Promise<string[]> {
  return (await readdir('/sys/class/net')).filter((name) => name === bridge || /^cc-node\d$/.test(name));
}

/** The first namespace of a machine turns the directory of their names into a mount, which stays; it goes when nobody has a namespace. */
async function forgetNamespaceDirectory(): Promise<void> {
  if ((await readdir(namespaceDirectory).catch(() => ['unknown'])).length > 0) return;
  await attempt('umount', [namespaceDirectory]);
  await rmdir(namespaceDirectory).catch(() => undefined);
}

async function namespaces(): Promise<string[]> {
  return (await readdir(namespaceDirectory).catch(() => [])).filter((name) => name.startsWith(`${namespacePrefix}node`));
}
