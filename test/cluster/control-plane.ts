// etcd, kube-apiserver and, where asked for, kube-controller-manager and kube-scheduler. `controlPlane` prepares certificates and
// configuration and says which programs to run how; the bundled cluster runs them as daemons (up.ts). `startControlPlane` runs them as children of a
// test, on a loopback address of their own, so that any number of them live side by side; they die with their parent. etcd does not
// fsync: the data survives the death of a process, not that of the machine.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildAll } from './build.ts';
import type { ProgramName } from './build.ts';
import { ClusterError } from './command.ts';
import { Authority } from './pki.ts';

/** How long an API server may take to be ready, in milliseconds; a loaded machine with two cores needs up to a minute. */
const readyTimeoutMs = 180_000;
const readyPollMs = 100;
/** How long a program may take to end after SIGTERM before it is killed, in milliseconds. */
const stopTimeoutMs = 10_000;

const serviceRange = '10.96.0.0/16';
const firstServiceAddress = '10.96.0.1';
/** Native gang scheduling (PodGroup), on the API server, the scheduler and the controller manager. */
const features = '--feature-gates=GenericWorkload=true';

/** A program to run: the arguments, and the network namespace if it is not the host's. */
export interface Component {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly namespace?: string;
}

export interface ControlPlaneOptions {
  /** Absolute path; made if needed. Holds the certificates, kubeconfigs, logs and the data of etcd. */
  readonly directory: string;
  /** Where the API server listens. */
  readonly address: string;
  /** Where etcd listens; without authentication, so a loopback address. */
  readonly etcdAddress: string;
  readonly controllers: boolean;
  /** Whether the API server publishes its address as the endpoint of the Service `kubernetes`. */
  readonly advertise: boolean;
}

export interface ControlPlaneParts {
  readonly authority: Authority;
  readonly url: string;
  /** Path of a kubeconfig with all rights. */
  readonly kubeconfig: string;
  readonly auditLog: string;
  /** In the order in which they start. All but etcd and the API server may start at once when the API server is ready. */
  readonly components: readonly Component[];
}

export interface ControlPlane {
  readonly kubeconfig: string;
  readonly url: string;
  readonly auditLog: string;
  /** The API server keeps its connections and answers nothing, until it is thawed. */
  freeze(): void;
  thaw(): void;
  /** Ends all of it; the directory stays. */
  stop(): Promise<void>;
}

/** Starts a control plane without nodes, for a test. `controllers` adds the controller manager and the scheduler. */
export async function startControlPlane(options: { directory: string; address?: string; controllers?: boolean }): Promise<ControlPlane> {
  // Any address of 127.0.0.0/8 is this machine's: a random one spares the search for free ports, and the race for them.
  const address = options.address ?? `127.${String(randomInt(1, 255))}.${String(randomInt(0, 255))}.${String(randomInt(2, 255))}`;
  const controllers = options.controllers ?? false;
  const parts = await controlPlane({ directory: options.directory, address, etcdAddress: address, controllers, advertise: false });
  const children: Child[] = [];
  const signalApiServer = (signal: NodeJS.Signals) => (): void => {
    children.find(({ name }) => name === 'kube-apiserver')?.signal(signal);
  };
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) await child.stop();
  };
  try {
    for (const component of parts.components) {
      const child = new Child(component, options.directory);
      children.push(child);
      if (component.name === 'kube-apiserver') await waitUntilReady(parts, () => child.failure());
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    kubeconfig: parts.kubeconfig,
    url: parts.url,
    auditLog: parts.auditLog,
    freeze: signalApiServer('SIGSTOP'),
    thaw: signalApiServer('SIGCONT'),
    stop,
  };
}

/** Writes what the control plane needs into its directory (keeping what is there) and says what to run. Builds missing programs. */
export async function controlPlane(options: ControlPlaneOptions): Promise<ControlPlaneParts> {
  const { directory, address } = options;
  const names: ProgramName[] = [
    'etcd',
    'kube-apiserver',
    ...(options.controllers ? (['kube-controller-manager', 'kube-scheduler'] as const) : []),
  ];
  const programs = await buildAll(names);
  for (const part of ['pki', 'logs', 'etcd']) await mkdir(join(directory, part), { recursive: true });
  const authority = await Authority.open(join(directory, 'pki'));
  const url = `https://${address}:6443`;
  const kubeconfig = join(directory, 'admin.kubeconfig');
  await authority.writeKubeconfig(kubeconfig, url, { name: 'admin', commonName: 'admin', organization: 'system:masters' });
  const components = [etcd(options), await apiServer(options, authority)];
  if (options.controllers) components.push(await controllerManager(directory, url, authority), await scheduler(directory, url, authority));
  return {
    authority,
    url,
    kubeconfig,
    auditLog: join(directory, 'logs', 'audit.log'),
    components: components.map((component) => ({ ...component, program: programs.get(component.program) ?? component.program })),
  };
}

function etcd({ directory, etcdAddress }: ControlPlaneOptions): Component & { program: ProgramName } {
  const client = `http://${etcdAddress}:2379`;
  const peer = `http://${etcdAddress}:2380`;
  return {
    name: 'etcd',
    program: 'etcd',
    args: [
      ...['--name=etcd', `--data-dir=${join(directory, 'etcd')}`, '--unsafe-no-fsync', '--log-level=warn'],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`, `--listen-peer-urls=${peer}`],
      ...[`--initial-advertise-peer-urls=${peer}`, `--initial-cluster=etcd=${peer}`],
    ],
  };
}

async function apiServer(options: ControlPlaneOptions, authority: Authority): Promise<Component & { program: ProgramName }> {
  const { directory, address } = options;
  const serving = await authority.issue({
    name: 'apiserver',
    commonName: 'kube-apiserver',
    alternativeNames: [
      ...['DNS:localhost', 'DNS:kubernetes', 'DNS:kubernetes.default', 'DNS:kubernetes.default.svc'],
      ...[`IP:127.0.0.1`, `IP:${firstServiceAddress}`, `IP:${address}`],
    ],
  });
  const kubeletClient = await authority.issue({ name: 'kubelet-client', commonName: 'kubelet-client', organization: 'system:masters' });
  const auditPolicy = join(directory, 'audit-policy.json');
  await writeFile(
    auditPolicy,
    JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] }),
  );
  const keys = join(directory, 'pki');
  return {
    name: 'kube-apiserver',
    program: 'kube-apiserver',
    args: [
      ...[`--etcd-servers=http://${options.etcdAddress}:2379`, `--bind-address=${address}`, '--secure-port=6443'],
      // A loopback address cannot be an endpoint, so that a test's API server publishes none.
      ...[`--advertise-address=${address}`, `--endpoint-reconciler-type=${options.advertise ? 'lease' : 'none'}`],
      ...[`--tls-cert-file=${serving.certificate}`, `--tls-private-key-file=${serving.key}`, `--client-ca-file=${authority.certificate}`],
      ...[`--service-account-key-file=${keys}/sa.pub`, `--service-account-signing-key-file=${keys}/sa.key`],
      ...['--service-account-issuer=https://kubernetes.default.svc.cluster.local', `--service-cluster-ip-range=${serviceRange}`],
      ...['--authorization-mode=Node,RBAC', '--enable-admission-plugins=NodeRestriction', '--allow-privileged=true'],
      ...[`--kubelet-client-certificate=${kubeletClient.certificate}`, `--kubelet-client-key=${kubeletClient.key}`],
      ...[`--kubelet-certificate-authority=${authority.certificate}`, '--kubelet-preferred-address-types=InternalIP'],
      ...[`--audit-policy-file=${auditPolicy}`, `--audit-log-path=${join(directory, 'logs', 'audit.log')}`, '--audit-log-maxsize=200'],
      ...[features, '--runtime-config=scheduling.k8s.io/v1beta1=true', '--shutdown-delay-duration=0s'],
    ],
  };
}

async function controllerManager(directory: string, url: string, authority: Authority): Promise<Component & { program: ProgramName }> {
  const kubeconfig = join(directory, 'controller-manager.kubeconfig');
  await authority.writeKubeconfig(kubeconfig, url, { name: 'controller-manager', commonName: 'system:kube-controller-manager' });
  return {
    name: 'kube-controller-manager',
    program: 'kube-controller-manager',
    args: [
      ...[`--kubeconfig=${kubeconfig}`, `--root-ca-file=${authority.certificate}`, '--use-service-account-credentials=true'],
      ...[`--service-account-private-key-file=${join(directory, 'pki', 'sa.key')}`, '--leader-elect=false', '--secure-port=0'],
      ...[`--cluster-signing-cert-file=${authority.certificate}`, `--cluster-signing-key-file=${authority.key}`],
      // A node counts as gone after 20 s without a heartbeat (Kubernetes: 50 s); the kubelets of the bundled cluster send one every 5 s.
      ...['--allocate-node-cidrs=false', '--node-monitor-grace-period=20s', '--node-monitor-period=2s', features],
    ],
  };
}

async function scheduler(directory: string, url: string, authority: Authority): Promise<Component & { program: ProgramName }> {
  const kubeconfig = join(directory, 'scheduler.kubeconfig');
  await authority.writeKubeconfig(kubeconfig, url, { name: 'scheduler', commonName: 'system:kube-scheduler' });
  return {
    name: 'kube-scheduler',
    program: 'kube-scheduler',
    args: [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', features],
  };
}

/** Waits for /readyz. Throws ClusterError with the end of the API server's log when `failure` says that it has ended, or it takes too long. */
export async function waitUntilReady(parts: ControlPlaneParts, failure: () => Promise<string | undefined>): Promise<void> {
  const ca = await readFile(parts.authority.certificate);
  const deadline = performance.now() + readyTimeoutMs;
  while (!(await isReady(parts.url, ca))) {
    const reason = await failure();
    if (reason !== undefined) throw new ClusterError(reason);
    if (performance.now() > deadline) {
      throw new ClusterError(
        `The API server is not ready after ${String(readyTimeoutMs / 1000)} s; see ${parts.auditLog.replace('audit', 'kube-apiserver')}.`,
      );
    }
    await delay(readyPollMs);
  }
}

async function isReady(url: string, ca: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(`${url}/readyz`, { ca, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => {
      resolve(false);
    });
    call.end();
  });
}

/** A component as a child of this process; the kernel ends it when this process ends, however that comes about. */
class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #log: string;

  constructor(component: Component, directory: string) {
    this.name = component.name;
    this.#log = join(directory, 'logs', `${component.name}.log`);
    const log = openSync(this.#log, 'a');
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', component.program, ...component.args], {
      cwd: directory,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', () => {
        resolve();
      });
      this.#process.once('error', () => {
        resolve();
      });
    });
  }

  /** What to tell the user when the program has ended by itself; undefined while it runs. */
  async failure(): Promise<string | undefined> {
    if (this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) return undefined;
    const log = await readFile(this.#log, 'utf8').catch(() => '');
    return `${this.name} has ended (exit code ${String(this.#process.exitCode)}). The end of ${this.#log}:\n${log.slice(-2000)}`;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), stopTimeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }
}
