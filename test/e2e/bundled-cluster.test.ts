// The bundled cluster itself: what `up` promises, what it repairs, how a node is cut off, and that `down` leaves nothing. It takes the cluster
// down at its end; every other scenario brings it up first.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { binary } from '../cluster/build.ts';
import { attempt, run, type CommandResult } from '../cluster/command.ts';
import { daemonProcess } from '../cluster/daemon.ts';
import { natsReference } from '../cluster/image.ts';
import { cut, heal, nodeAddress } from '../cluster/network.ts';
import { containerdSocket } from '../cluster/node.ts';
import { checkout, exclusively, kubeconfigPath, requireState, writeState } from '../cluster/state.ts';
import { status } from '../cluster/status.ts';
import { leftovers, tearDown } from '../cluster/teardown.ts';
import { up } from '../cluster/up.ts';
import { eventuallySeen } from '../lib/eventually.ts';
import { figure } from '../lib/scenario.ts';

const namespace = 'bundled-cluster';
const pollMs = 500;
const podsReadyMs = 120_000;
/** 20 s without heartbeat, and the time until that is noticed and written. */
const nodeGoneMs = 60_000;
const startedMs = 120_000;
const clusterProgram = join(checkout, 'test', 'cluster', 'main.ts');

const serve = `const {appendFileSync,readFileSync}=require('fs');appendFileSync('/data/starts','1');
require('http').createServer((_,r)=>r.end(require('os').hostname()+' '+readFileSync('/data/starts','utf8').length)).listen(5000)`;

const unprivileged = { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

/** One pod a node, each with a volume, none privileged, behind a headless Service and one with an address. */
const workload = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'pods', namespace },
    spec: { clusterIP: 'None', selector: { app: 'pods' }, ports: [{ port: 5000 }] },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'any', namespace },
    spec: { selector: { app: 'pods' }, ports: [{ port: 80, targetPort: 5000 }] },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'pods', namespace },
    spec: {
      serviceName: 'pods',
      podManagementPolicy: 'Parallel',
      replicas: 4,
      selector: { matchLabels: { app: 'pods' } },
      template: {
        metadata: { labels: { app: 'pods' } },
        spec: {
          terminationGracePeriodSeconds: 1,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'DoNotSchedule',
              labelSelector: { matchLabels: { app: 'pods' } },
            },
          ],
          securityContext: { runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: 'main',
              image: 'node:24-slim',
              command: ['node', '--eval', serve],
              readinessProbe: { httpGet: { path: '/', port: 5000 }, periodSeconds: 1 },
              securityContext: unprivileged,
              volumeMounts: [{ name: 'data', mountPath: '/data' }],
            },
          ],
        },
      },
      volumeClaimTemplates: [
        { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
      ],
    },
  },
];

/** The command, as a person runs it. */
async function command(...args: string[]): Promise<CommandResult> {
  return attempt(process.execPath, [clusterProgram, ...args]);
}

async function kubectl(...args: string[]): Promise<string> {
  return run(await binary('kubectl'), ['--kubeconfig', kubeconfigPath, '--namespace', namespace, ...args]);
}

/** Runs an expression in the first pod and returns what it resolves to. */
async function inPod(expression: string): Promise<string> {
  const program = `(async()=>console.log(await (${expression})))().catch((error)=>console.log(error.code))`;
  return (await kubectl('exec', 'pods-0', '--', 'node', '--eval', program)).trim();
}

async function readyOf(node: string): Promise<string> {
  return kubectl('get', 'node', node, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}');
}

async function waitForNode(node: string, ready: (value: string) => boolean): Promise<void> {
  const deadline = performance.now() + nodeGoneMs;
  for (let value = await readyOf(node); !ready(value); value = await readyOf(node)) {
    if (performance.now() > deadline) throw new Error(`${node} has Ready=${value}`);
    await pause(pollMs);
  }
}

describe('the bundled cluster', () => {
  beforeAll(async () => {
    await up(4);
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: workload });
    await run(await binary('kubectl'), ['--kubeconfig', kubeconfigPath, 'apply', '--server-side', '-f', '-'], { input: list });
    await kubectl('rollout', 'status', 'statefulset/pods', `--timeout=${String(podsReadyMs / 1000)}s`);
  });

  test('has four ready nodes, the last of them at the disaster-recovery site', async () => {
    expect((await status()).healthy).toBe(true);
    const regions = await kubectl('get', 'nodes', '-o', 'jsonpath={.items[*].metadata.labels.topology\\.kubernetes\\.io/region}');
    expect(regions).toBe('main main main dr');
  });

  test('gives each pod a node, and a volume that outlives it', async () => {
    expect(new Set((await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ')).size).toBe(4);
    const starts = Number(await inPod(`require('fs').readFileSync('/data/starts').length`));
    await kubectl('delete', 'pod', 'pods-0', '--wait');
    await kubectl('rollout', 'status', 'statefulset/pods', `--timeout=${String(podsReadyMs / 1000)}s`);
    expect(Number(await inPod(`require('fs').readFileSync('/data/starts').length`))).toBe(starts + 1);
  });

  test('lets pods find each other by name and through a Service, on every node', async () => {
    for (const peer of ['pods-1', 'pods-2', 'pods-3']) {
      expect(await inPod(`fetch('http://${peer}.pods:5000').then((r)=>r.text())`)).toMatch(new RegExp(`^${peer} `));
    }
    expect(await inPod(`fetch('http://any').then((r)=>r.text())`)).toMatch(/^pods-\d \d+$/);
    expect(await inPod(`require('dns').promises.lookup('pods.${namespace}.svc.cluster.local').then((a)=>a.family)`)).toBe('4');
    expect(await inPod(`require('dns').promises.lookup('absent.example')`)).toBe('ENOTFOUND');
  });

  test('notices that a node is cut off, whose containers run on, and takes it back', async () => {
    const before = await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}');
    await cut(nodeAddress(3));
    try {
      await waitForNode('node3', (value) => value !== 'True');
      expect((await status()).healthy).toBe(false);
    } finally {
      await heal(nodeAddress(3));
    }
    await waitForNode('node3', (value) => value === 'True');
    expect(await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}')).toBe(before);
    expect(await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')).toBe('0 0 0 0');
  });

  test('gets a node back that is cut off when it is brought up again', async () => {
    await cut(nodeAddress(2));
    expect(await up()).toMatchObject({ kind: 'Kept', restarted: ['the network of node2'] });
    expect((await status()).healthy).toBe(true);
  });

  test('is only looked at by another `up`', async () => {
    expect(await up()).toMatchObject({ kind: 'Kept', restarted: [] });
  });

  test('gets back the components that were killed, and keeps its pods', async () => {
    const killed = ['containerd-node2', 'etcd', 'kubelet-node1'];
    for (const name of killed) {
      const pid = await daemonProcess({ name, program: name.replace(/-node\d$/, '') });
      if (pid === undefined) throw new Error(`${name} does not run`);
      process.kill(pid, 'SIGKILL');
    }
    const outcome = await up();
    expect(outcome.kind === 'Kept' ? [...outcome.restarted].sort() : outcome).toEqual(killed);
    expect((await status()).healthy).toBe(true);
    expect(await kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')).toBe('0 0 0 0');
    // A kubelet that has just started answers before it knows its pods.
    await eventuallySeen(async () => {
      expect(await inPod(`fetch('http://pods-1.pods:5000').then((r)=>r.text())`)).toMatch(/^pods-1 /);
    }, podsReadyMs);
  });

  test('takes an image onto every node', async () => {
    const images = ['--address', containerdSocket('node1'), '--namespace', 'k8s.io', 'images'];
    await run('ctr', [...images, 'remove', natsReference]);
    expect(await command('load', natsReference)).toMatchObject({ code: 0, stdout: `${natsReference} is on every node.\n` });
    expect(await run('ctr', [...images, 'list', '--quiet'])).toContain(natsReference);
    expect(await command('load', 'docker.io/nobody/nothing:1')).toMatchObject({ code: 1 });
  });

  test('shows the log of each component, and the audit log', async () => {
    expect((await command('logs', 'kubelet-node1')).stdout).toContain('kubelet');
    expect((await command('logs', 'audit')).stdout).toContain('"kind":"Event"');
    const unknown = await command('logs', 'nothing');
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toMatch(/no log of nothing\. There are: .*etcd/);
  });

  test('refuses to change while another command changes it', async () => {
    await exclusively(async () => {
      await expect(up()).rejects.toThrow('Another command is changing the cluster');
    });
  });

  test('of another checkout is left alone', async () => {
    const state = await requireState();
    await exclusively(async () => writeState({ ...state, owner: '/another/checkout' }));
    try {
      for (const args of [['up'], ['down'], ['load', natsReference], ['cut', 'node1'], ['heal', 'node1']]) {
        const { code, stderr } = await command(...args);
        expect({ args, code, stderr }).toEqual({
          args,
          code: 1,
          stderr: expect.stringContaining('belongs to the checkout /another/checkout'),
        });
      }
    } finally {
      await exclusively(async () => writeState(state));
    }
    expect((await status()).healthy).toBe(true);
  });

  test('leaves no process, mount, interface, namespace, firewall rule or control group behind, and keeps its logs on demand', async () => {
    const kept = await mkdtemp(join(tmpdir(), 'controlcluster-logs-'));
    try {
      expect((await leftovers()).length).toBeGreaterThan(0);
      expect(await command('down', '--verify', '--keep-logs', kept)).toMatchObject({ code: 0, stderr: '' });
      expect(await readdir(kept)).toEqual(expect.arrayContaining(['kube-apiserver.log', 'audit.log', 'kubelet-node4.log']));
    } finally {
      await rm(kept, { recursive: true });
    }
    expect(await leftovers()).toEqual([]);
    expect((await attempt('ip', ['link', 'show', 'cc-bridge'])).code).not.toBe(0);
    // Once more, on nothing.
    expect(await command('down', '--verify')).toMatchObject({ code: 0 });
  });

  test('comes up after an `up` that was killed', async () => {
    const killed = spawn(process.execPath, [clusterProgram, 'up'], { stdio: 'ignore' });
    const ended = once(killed, 'exit');
    await eventuallySeen(async () => {
      if ((await daemonProcess({ name: 'kubelet-node1', program: 'kubelet' })) === undefined) throw new Error('It has started no kubelet.');
    }, startedMs);
    killed.kill('SIGKILL');
    await ended;
    const before = performance.now();
    expect(await up()).toEqual({ kind: 'Started' });
    figure('bundled cluster: up, with what a killed one has left', performance.now() - before);
    expect((await status()).healthy).toBe(true);
    // Its logs, audit log included, are kept: only the summary knows whether a test before this one has failed.
    await exclusively(async () => tearDown(join(checkout, 'artifacts', 'e2e', 'bundled-cluster')));
    expect(await leftovers()).toEqual([]);
  });
});
