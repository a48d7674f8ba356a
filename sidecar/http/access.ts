// Who may call: the pod itself without credentials, everyone else with a Kubernetes bearer token.
// "The pod itself" is a loopback peer that also addresses us as loopback and is no page of another origin: `kubectl port-forward` ends on
// loopback too, and a browser behind it must not be steered by a foreign page (DNS rebinding, cross-site requests).
// 127.0.0.1 alone counts, not 127.0.0.0/8: a service mesh delivers remote calls from 127.0.0.6.
import type { FastifyRequest } from 'fastify';
import { AppError } from '../../common/errors.ts';

/** `open`: anyone (probes, metrics). `pod`: callers inside the pod. `read`, `write`: the pod, and tokens that RBAC lets `get`, `update`. */
export type Access = 'open' | 'pod' | 'read' | 'write';
type Verb = 'get' | 'update';

/** Asks Kubernetes whether the bearer of the token may do it (`controlclusters/state`). Rejects with AppError api_unavailable. Never logs the token. */
export type Authorise = (token: string, verb: Verb) => Promise<'allowed' | 'unauthorized' | 'forbidden'>;

const loopbackAddresses = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);
const loopbackHost = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

export function isFromPod(request: FastifyRequest): boolean {
  const { host, origin } = request.headers;
  if (!loopbackAddresses.has(request.socket.remoteAddress ?? '') || !loopbackHost.test(host ?? '')) return false;
  return origin === undefined || origin === `http://${host ?? ''}`;
}

function bearerToken(request: FastifyRequest): string {
  const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) throw new AppError('unauthorized', 'There is no Authorization header with a bearer token.');
  return token;
}

/** Resolves when the caller may; rejects with AppError unauthorized, forbidden or api_unavailable. */
export async function admit(request: FastifyRequest, access: 'pod' | 'read' | 'write', authorise: Authorise): Promise<void> {
  if (access === 'pod') throw new AppError('forbidden', 'Only a caller inside the pod may do this.');
  const token = bearerToken(request);
  const verb = access === 'read' ? 'get' : 'update';
  const decision = await authorise(token, verb);
  if (decision === 'unauthorized') throw new AppError('unauthorized', 'Kubernetes does not know the token.');
  if (decision === 'forbidden') throw new AppError('forbidden', `RBAC does not allow the verb ${verb}.`);
}
