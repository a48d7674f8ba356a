// Operators at a real API server, as many as a test wants, each with no more rights than the chart gives; and a client with all rights beside them.
import { pino } from 'pino';
import { apiVersion, kind } from '../../common/names.ts';
import { KubeApi } from '../../operator/controller/kube-api.ts';
import { kubeconfigEndpoint, type KubeEndpoint } from '../../operator/controller/kube-endpoint.ts';
import { Metrics } from '../../operator/controller/metrics.ts';
import { startOperator, type Operator } from '../../operator/controller/operator.ts';
import { Reconciler, type ReconcilerOptions } from '../../operator/controller/reconciler.ts';
import { clusterKind, namespacedPath } from '../../operator/controller/resource-kind.ts';
import { parseConfig } from '../../operator/config.ts';
import { startApiServer, type ApiServer } from './api-server.ts';
import { releaseNamespace, renderChart } from './chart.ts';
import { restrictedContainer, sidecarSettings } from './control-cluster.ts';
import { eventually } from './eventually.ts';

const silent = { count: () => undefined };
/** `CC_TEST_LOG=info` shows what the operators say. */
const log = pino({ level: process.env.CC_TEST_LOG ?? 'silent' });

/** The user that an operator is to the API server. */
export const operatorUser = `system:serviceaccount:${releaseNamespace}:controlcluster-operator`;

/** An API server with the namespace, the account and the rights of the operator in it. */
export async function startOperatorServer(options: { controllers?: boolean } = {}): Promise<ApiServer> {
  const server = await startApiServer(options);
  const { objects } = await renderChart();
  const rights = objects.filter(
    ({ kind: of, metadata }) => metadata.name === 'controlcluster-operator' && /^(ServiceAccount|ClusterRole)/.test(of),
  );
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: releaseNamespace } };
  const applied = await server.kubectl(['apply', '--filename=-'], { apiVersion: 'v1', kind: 'List', items: [namespace, ...rights] });
  if (applied.code === 0) return server;
  await server.stop();
  throw new Error(applied.stderr);
}

/** Gives the API server the part of the Prometheus operator that is used here. */
export async function installPodMonitors(server: ApiServer): Promise<void> {
  const schema = { type: 'object', properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } };
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'podmonitors.monitoring.coreos.com' },
    spec: {
      group: 'monitoring.coreos.com',
      scope: 'Namespaced',
      names: { kind: 'PodMonitor', plural: 'podmonitors' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  };
  const applied = await server.kubectl(['apply', '--filename=-'], definition);
  if (applied.code !== 0) throw new Error(applied.stderr);
  await eventually(async () => {
    const found = await server.kubectl(['get', '--raw', '/apis/monitoring.coreos.com/v1']);
    if (!found.stdout.includes('podmonitors')) throw new Error(`PodMonitors are not served: ${found.stdout}${found.stderr}`);
  }, 30_000);
}

export const clientOf = (server: ApiServer): KubeApi => new KubeApi(kubeconfigEndpoint(server.kubeconfig), silent);

const operatorEndpoint = (server: ApiServer): KubeEndpoint => ({
  ...kubeconfigEndpoint(server.kubeconfig),
  headers: () => ({ 'impersonate-user': operatorUser }),
});

/** A reconciler by itself, as if it were elected. `through` stands between it and the API server. */
export function runReconciler(server: ApiServer, through: (api: ReconcilerOptions['api']) => ReconcilerOptions['api']): Reconciler {
  const api = through(new KubeApi(operatorEndpoint(server), silent));
  return new Reconciler({ api, settings: sidecarSettings, instance: 'operator-0', metrics: new Metrics(), log });
}

export function runOperator(server: ApiServer, identity = 'operator-0'): Promise<Operator> {
  const endpoint = operatorEndpoint(server);
  const config = parseConfig({
    CC_NAMESPACE: releaseNamespace,
    CC_IDENTITY: identity,
    CC_PORT: '0',
    CC_SIDECAR_IMAGE: 'controlcluster/sidecar:test',
    CC_LEASE_DURATION: '3s',
    CC_RENEW_DEADLINE: '2s',
    CC_RETRY_PERIOD: '500ms',
  });
  return startOperator(endpoint, config, log);
}

/** Creates a ControlCluster with a container of the user's, with `spec` over it. Throws when it is refused. */
export async function createCluster(api: KubeApi, namespace: string, name: string, spec: object = {}): Promise<void> {
  const body = {
    apiVersion,
    kind,
    metadata: { name, namespace },
    spec: {
      replication: { nats: { url: 'nats://nats:4222' } },
      template: { spec: { containers: [restrictedContainer] } },
      ...spec,
    },
  };
  const answer = await api.send('POST', namespacedPath(clusterKind, namespace), { body });
  if (answer.kind === 'refused') throw new Error(answer.message);
}
