// Where the API server is and how this process proves who it is: inside of a pod, or with a kubeconfig of certificates or a token.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';

export interface KubeEndpoint {
  readonly server: string;
  readonly tls: { readonly ca: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  /** Asked for each request: the kubelet rotates the token. */
  readonly headers: () => Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token.trim()}` });

/** The kubeconfig that KUBECONFIG names, else the account of the pod. Throws AppError invalid_configuration. */
export function kubeEndpoint(environment: Environment): KubeEndpoint {
  const { KUBECONFIG: file, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (file !== undefined) return kubeconfigEndpoint(file);
  if (host === undefined || port === undefined)
    throw new AppError('invalid_configuration', 'There is neither KUBECONFIG nor the account of a pod.');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    tls: { ca: readFileSync(`${serviceAccount}/ca.crt`) },
    headers: () => bearer(readFileSync(`${serviceAccount}/token`, 'utf8')),
  };
}

const text = z.string().optional();
const kubeconfigSchema = z.object({
  'current-context': z.string(),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: z.string() }) })),
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.object({ server: z.url(), 'certificate-authority': text, 'certificate-authority-data': text }),
    }),
  ),
  users: z.array(
    z.object({
      name: z.string(),
      user: z.object({
        token: text,
        'client-certificate': text,
        'client-certificate-data': text,
        'client-key': text,
        'client-key-data': text,
      }),
    }),
  ),
});

export function kubeconfigEndpoint(file: string): KubeEndpoint {
  const config = kubeconfigSchema.safeParse(parse(readFileSync(file, 'utf8')));
  const context = config.data?.contexts.find(({ name }) => name === config.data['current-context'])?.context;
  const cluster = config.data?.clusters.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.data?.users.find(({ name }) => name === context?.user)?.user;
  const read = (path: string | undefined, data: string | undefined): Buffer | undefined =>
    data !== undefined ? Buffer.from(data, 'base64') : path !== undefined ? readFileSync(resolve(dirname(file), path)) : undefined;
  const ca = read(cluster?.['certificate-authority'], cluster?.['certificate-authority-data']);
  if (cluster === undefined || user === undefined || ca === undefined)
    throw new AppError('invalid_configuration', `${file} has no current context with a server, its authority and a user.`);
  const { token } = user;
  const cert = read(user['client-certificate'], user['client-certificate-data']);
  const key = read(user['client-key'], user['client-key-data']);
  return {
    server: cluster.server,
    tls: { ca, ...(cert === undefined || key === undefined ? {} : { cert, key }) },
    headers: () => (token === undefined ? {} : bearer(token)),
  };
}
