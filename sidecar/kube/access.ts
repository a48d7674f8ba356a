// May the bearer of a token read or write this cluster's state? Asked of the API server by a SelfSubjectAccessReview with that very token:
// one request authenticates and authorises, and the sidecar needs no cluster-wide right. Answers are kept for a short, bounded time.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { group } from '../../common/names.ts';
import type { KubeApi } from './kube-api.ts';

const cacheMs = 10_000;
const maxCached = 1000;
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });

export type AccessDecision = 'allowed' | 'unauthorized' | 'forbidden';

export function createAccessReview(
  api: KubeApi,
  namespace: string,
  cluster: string,
): (token: string, verb: 'get' | 'update') => Promise<AccessDecision> {
  const cache = new Map<string, { readonly atMs: number; readonly decision: Promise<AccessDecision> }>();

  const review = async (token: string, verb: string): Promise<AccessDecision> => {
    const answer = await api.send({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      token,
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { group, resource: 'controlclusters', subresource: 'state', verb, namespace, name: cluster } },
      },
    });
    if (answer.kind === 'refused') return answer.status === 401 ? 'unauthorized' : 'forbidden';
    const parsed = reviewSchema.safeParse(answer.body);
    if (!parsed.success) throw new AppError('api_unavailable', 'The answer to the access review is not of the form.');
    return parsed.data.status.allowed ? 'allowed' : 'forbidden';
  };

  return (token, verb) => {
    const key = createHash('sha256').update(`${verb}:${token}`).digest('base64');
    const known = cache.get(key);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.atMs < cacheMs) return known.decision;
    const decision = review(token, verb);
    cache.delete(key);
    cache.set(key, { atMs: nowMs, decision });
    for (const oldest of cache.keys()) {
      if (cache.size <= maxCached) break;
      cache.delete(oldest);
    }
    // What could not be asked is not kept.
    decision.catch(() => cache.delete(key));
    return decision;
  };
}
