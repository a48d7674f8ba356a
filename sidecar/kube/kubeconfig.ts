// How to reach the API server by a kubeconfig, for a sidecar that does not run in a pod. Apart from the rest, as in a pod its parser is never loaded.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import type { KubeEndpoint } from './kube-api.ts';

const kubeconfigSchema = z.object({
  clusters: z.array(z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.base64() }) })).min(1),
  users: z.array(z.object({ user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }) })).min(1),
});

/** A kubeconfig with one cluster and one user, certificates in it: what a test or a developer runs the sidecar with. */
export function kubeconfigEndpoint(file: string): KubeEndpoint {
  const config = kubeconfigSchema.parse(parse(readFileSync(file, 'utf8')));
  const cluster = config.clusters[0]?.cluster;
  const user = config.users[0]?.user;
  if (cluster === undefined || user === undefined)
    throw new AppError('invalid_configuration', 'the kubeconfig names no cluster or no user');
  const decode = (text: string): Buffer => Buffer.from(text, 'base64');
  return {
    server: cluster.server,
    ca: decode(cluster['certificate-authority-data']),
    cert: decode(user['client-certificate-data']),
    key: decode(user['client-key-data']),
  };
}
