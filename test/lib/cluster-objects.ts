// The objects of one namespace as a test of the operator looks at them, and edits them by hand; and what the operator asked for, from the audit log.
import { readFile } from 'node:fs/promises';
import { controlClusterSchema } from '../../common/schema.ts';
import type { Condition, ControlClusterStatus } from '../../common/status.ts';
import { mergePatch, type KubeApi } from '../../operator/controller/kube-api.ts';
import { clusterKind, kindOf, namespacedPath } from '../../operator/controller/resource-kind.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import type { ApiServer } from './api-server.ts';
import { operatorUser } from './operator-under-test.ts';

export class ClusterObjects {
  readonly #api: KubeApi;
  readonly #server: ApiServer;
  readonly namespace: string;

  constructor(api: KubeApi, server: ApiServer, namespace: string) {
    this.#api = api;
    this.#server = server;
    this.namespace = namespace;
  }

  async read(kind: string, name: string): Promise<KubeObject | null> {
    const answer = await this.#api.send('GET', namespacedPath(kindOf({ kind }), this.namespace, name));
    return answer.kind === 'ok' ? (answer.body as KubeObject) : null;
  }

  /** Merge patch; throws when it is refused. */
  async edit(kind: string, name: string, body: object): Promise<void> {
    const path = namespacedPath(kindOf({ kind }), this.namespace, name);
    const answer = await this.#api.send('PATCH', path, { body, contentType: mergePatch, query: { fieldManager: 'by-hand' } });
    if (answer.kind === 'refused') throw new Error(answer.message);
  }

  async status(name: string): Promise<ControlClusterStatus | undefined> {
    const object = await this.read(clusterKind.kind, name);
    return object === null ? undefined : controlClusterSchema.parse(object).status;
  }

  async condition(name: string, type: Condition['type']): Promise<Condition | undefined> {
    return (await this.status(name))?.conditions?.find((one) => one.type === type);
  }

  /** `reason: note` of each Event about the cluster. */
  async events(name: string): Promise<string[]> {
    const answer = await this.#server.kubectl(['get', 'events.events.k8s.io', '-n', this.namespace, '-o', 'json']);
    const { items } = JSON.parse(answer.stdout) as { items: { reason: string; note: string; regarding: { name: string } }[] };
    return items.filter(({ regarding }) => regarding.name === name).map(({ reason, note }) => `${reason}: ${note}`);
  }
}

/** A line of the audit log. */
export interface AuditEntry {
  readonly verb: string;
  readonly stageTimestamp: string;
  readonly responseStatus?: { readonly code: number };
  readonly impersonatedUser?: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly name?: string; readonly namespace?: string };
}

/** Requests of operators since then. */
export async function requestsOfOperator(server: ApiServer, since = new Date(0)): Promise<AuditEntry[]> {
  const lines = (await readFile(server.auditLog, 'utf8')).split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as AuditEntry)
    .filter(({ impersonatedUser, stageTimestamp }) => impersonatedUser?.username === operatorUser && new Date(stageTimestamp) > since);
}
