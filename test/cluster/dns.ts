// Names inside the cluster: CoreDNS runs on the machine, outside of the cluster, and the Service `kube-dns` points to it. It knows the names of
// the cluster and no others.

import { Resolver } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { binary } from './build.ts';
import { ClusterError } from './command.ts';
import type { Component } from './control-plane.ts';
import { hostAddress } from './network.ts';
import type { Authority } from './pki.ts';
import { stateDirectory } from './state.ts';

export const dnsServiceAddress = '10.96.0.10';
/** Not 53, so that a name server of the machine that listens on all addresses is not in the way. */
const dnsPort = 10053;
const readyTimeoutMs = 60_000;
const queryTimeoutMs = 1000;
const pollMs = 200;

export async function prepareDns(authority: Authority, url: string): Promise<Component> {
  const kubeconfig = join(stateDirectory, 'coredns.kubeconfig');
  await authority.writeKubeconfig(kubeconfig, url, { name: 'coredns', commonName: 'coredns', organization: 'system:masters' });
  const corefile = join(stateDirectory, 'Corefile');
  // A short life of answers: a pod that comes back has a new address, and the tests measure how soon it is found.
  const zone = [`kubernetes cluster.local in-addr.arpa {`, `  kubeconfig ${kubeconfig}`, '  ttl 1', '}'];
  // Any other name does not exist. Without this rule the answer would be a refusal, which a client takes for a passing failure.
  const rest = ['template ANY ANY {', '  rcode NXDOMAIN', '}'];
  await writeFile(
    corefile,
    [`.:${String(dnsPort)} {`, ...[`bind ${hostAddress}`, 'errors', ...zone, ...rest].map((line) => `  ${line}`), '}', ''].join('\n'),
  );
  return { name: 'coredns', program: await binary('coredns'), args: ['-conf', corefile] };
}

/** The Service that pods ask, and where it leads. */
export function dnsObjects(): object[] {
  const ports = (target: boolean) =>
    (['UDP', 'TCP'] as const).map((protocol) => ({ name: `dns-${protocol.toLowerCase()}`, port: target ? dnsPort : 53, protocol }));
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace: 'kube-system' },
      spec: { clusterIP: dnsServiceAddress, ports: ports(false) },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'kube-dns', namespace: 'kube-system', labels: { 'kubernetes.io/service-name': 'kube-dns' } },
      addressType: 'IPv4',
      ports: ports(true),
      endpoints: [{ addresses: [hostAddress] }],
    },
  ];
}

/** Waits until the name server answers for the API server's name. */
export async function waitForDns(failure: () => Promise<string | undefined>): Promise<void> {
  const resolver = new Resolver({ timeout: queryTimeoutMs, tries: 1 });
  resolver.setServers([`${hostAddress}:${String(dnsPort)}`]);
  const deadline = performance.now() + readyTimeoutMs;
  for (;;) {
    const answer = await resolver.resolve4('kubernetes.default.svc.cluster.local').catch(() => []);
    if (answer.length > 0) return;
    const reason = await failure();
    if (reason !== undefined) throw new ClusterError(reason);
    if (performance.now() > deadline)
      throw new ClusterError(`The name server of the cluster does not answer at ${hostAddress}:${String(dnsPort)}.`);
    await delay(pollMs);
  }
}
