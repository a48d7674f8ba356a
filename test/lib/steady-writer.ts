// A client of the leader's Service in a pod of its own, away from the main nodes: one change after the other, each with an idempotency key and tried again
// until it is acknowledged, with a bearer token that RBAC lets write. Each attempt is a new connection, so that the Service decides whom it reaches.
import { leaderServiceName, plural, group } from '../../common/names.ts';
import { eventuallySeen } from './eventually.ts';
import { attemptKubectl } from './kubectl.ts';
import { image, podSecurity, unprivileged, type LiveCluster, type LoggedChange } from './live-cluster.ts';

const pod = 'writer';
const startedMs = 60_000;

/** Prints one line for each change that was acknowledged. */
const program = `
import { request } from 'node:http';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
const token = readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8');
const headers = { 'content-type': 'application/json', authorization: 'Bearer ' + token };
process.on('SIGTERM', () => process.exit(0));

function submit(change) {
  return new Promise((resolve) => {
    const options = { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(1000) };
    const call = request(process.env.LEADER + '/v1/changes', options, (response) => {
      let text = '';
      response.on('data', (part) => (text += part));
      response.on('error', () => resolve(null));
      response.on('end', () => resolve(response.statusCode === 200 ? JSON.parse(text) : null));
    });
    call.on('error', () => resolve(null));
    call.end(JSON.stringify(change));
  });
}

for (let n = 1; ; n += 1) {
  const key = process.env.RUN + '-' + n;
  const change = { operations: [{ put: { key: 'steady', value: n } }], idempotencyKey: key };
  let receipt = await submit(change);
  for (; receipt === null; receipt = await submit(change)) await delay(50);
  console.log(JSON.stringify({ key, uid: receipt.uid, atMs: Date.now() }));
  await delay(20);
}`;

export interface Acknowledged {
  readonly key: string;
  readonly uid: number;
  readonly atMs: number;
}

/** Keys of one writer are not those of another: a change that an earlier one made would be acknowledged and not made. */
let writers = 0;

export class SteadyWriter {
  readonly #cluster: LiveCluster;

  private constructor(cluster: LiveCluster) {
    this.#cluster = cluster;
  }

  /** Resolves when it has written. */
  static async start(cluster: LiveCluster): Promise<SteadyWriter> {
    const writer = new SteadyWriter(cluster);
    for (const object of objects(cluster)) await cluster.kubectl(['apply', '-f', '-'], object);
    await writer.goesOn(20, startedMs);
    return writer;
  }

  async acknowledged(): Promise<Acknowledged[]> {
    const text = await this.#cluster.kubectl(['logs', pod]);
    return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Acknowledged] : []));
  }

  /** Resolves when `count` more changes were acknowledged. */
  async goesOn(count: number, withinMs: number): Promise<void> {
    const before = (await this.acknowledged().catch(() => [])).length;
    await eventuallySeen(async () => {
      const now = (await this.acknowledged()).length;
      if (now < before + count) throw new Error(`${String(now - before)} of ${String(count)} changes were acknowledged`);
    }, withinMs);
  }

  /** Ends it, and returns what it got acknowledged in all. */
  async stop(): Promise<Acknowledged[]> {
    // The shell in the container may end with the container; whether that has ended is seen next.
    await attemptKubectl(['--namespace', this.#cluster.namespace, 'exec', pod, '--', 'node', '--eval', "process.kill(1, 'SIGTERM')"]);
    await this.#cluster.kubectl(['wait', `pod/${pod}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s']);
    const found = await this.acknowledged();
    await this.#cluster.kubectl(['delete', 'pod', pod, '--wait']);
    return found;
  }
}

/** The longest time from one acknowledgement to the next, in milliseconds. */
export function longestGapMs(acknowledged: readonly Acknowledged[]): number {
  return Math.max(...acknowledged.slice(1).map(({ atMs }, at) => atMs - (acknowledged[at]?.atMs ?? atMs)));
}

/** What was acknowledged and is not in the log at its UID, and what is in the log twice: both must be empty (I2, I8). */
export function discrepancies(acknowledged: readonly Acknowledged[], log: readonly LoggedChange[]): string[] {
  const seen = new Map<string, number>();
  const found: string[] = [];
  for (const [at, { uid, idempotencyKey: key = '' }] of log.entries()) {
    if (uid !== at + 1) found.push(`the log has UID ${String(uid)} in place ${String(at + 1)}`);
    if (key !== '' && seen.has(key)) found.push(`${key} is in the log as ${String(seen.get(key))} and as ${String(uid)}`);
    seen.set(key, uid);
  }
  for (const [at, { key, uid }] of acknowledged.entries()) {
    if (seen.get(key) !== uid) found.push(`${key} was acknowledged as ${String(uid)} and is in the log as ${String(seen.get(key))}`);
    if (uid <= (acknowledged[at - 1]?.uid ?? 0)) found.push(`${key}, written later, was acknowledged as ${String(uid)}`);
  }
  return found;
}

function objects(cluster: LiveCluster): object[] {
  const { namespace, name } = cluster;
  const metadata = { name: pod };
  const url = `http://${leaderServiceName(name)}.${namespace}.svc:5000`;
  const rule = { apiGroups: [group], resources: [`${plural}/state`], resourceNames: [name], verbs: ['update'] };
  const command = ['node', '--input-type=module', '--eval', program];
  const env = [
    { name: 'LEADER', value: url },
    { name: 'RUN', value: `writer-${String((writers += 1))}` },
  ];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules: [rule] },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: pod },
      subjects: [{ kind: 'ServiceAccount', name: pod, namespace }],
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        restartPolicy: 'Never',
        serviceAccountName: pod,
        nodeSelector: { 'topology.kubernetes.io/region': 'dr' },
        securityContext: podSecurity,
        containers: [{ name: pod, image, imagePullPolicy: 'IfNotPresent', command, env, securityContext: unprivileged }],
      },
    },
  ];
}
