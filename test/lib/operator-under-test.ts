// Operators at a real API server, as many as a test wants, and a client with all rights beside them.
import { KubeConfig } from '@kubernetes/client-node';
import { pino } from 'pino';
import { apiVersion, kind } from '../../common/names.ts';
import { KubeApi } from '../../operator/controller/kube-api.ts';
import { startOperator, type Operator } from '../../operator/controller/operator.ts';
import { clusterKind, namespacedPath } from '../../operator/controller/resource-kind.ts';
import { parseConfig } from '../../operator/config.ts';
import type { ApiServer } from './api-server.ts';
import { restrictedContainer } from './control-cluster.ts';

const silent = { count: () => undefined };
/** `CC_TEST_LOG=info` shows what the operators say. */
const log = pino({ level: process.env.CC_TEST_LOG ?? 'silent' });

export function kubeConfigOf({ kubeconfig }: ApiServer): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return config;
}

export const clientOf = (server: ApiServer): KubeApi => new KubeApi(kubeConfigOf(server), silent);

export function runOperator(server: ApiServer, identity = 'operator-0'): Promise<Operator> {
  const config = parseConfig({
    CC_NAMESPACE: 'default',
    CC_IDENTITY: identity,
    CC_PORT: '0',
    CC_SIDECAR_IMAGE: 'controlcluster/sidecar:test',
    CC_LEASE_DURATION: '3s',
    CC_RENEW_DEADLINE: '2s',
    CC_RETRY_PERIOD: '500ms',
  });
  return startOperator(kubeConfigOf(server), config, log);
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
