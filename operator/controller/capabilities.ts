// What this API server offers beyond what every supported version does, by discovery.
import { AppError } from '../../common/errors.ts';
import type { Capabilities } from '../resources/desired.ts';
import type { KubeApi } from './kube-api.ts';
import { groupPath, podGroupKind, podMonitorKind, type ResourceKind } from './resource-kind.ts';

const notFound = 404;

export async function readCapabilities(api: Pick<KubeApi, 'send'>): Promise<Capabilities> {
  return { podGroups: await offers(api, podGroupKind), podMonitors: await offers(api, podMonitorKind) };
}

async function offers(api: Pick<KubeApi, 'send'>, { apiVersion, plural }: ResourceKind): Promise<boolean> {
  const answer = await api.send('GET', groupPath(apiVersion));
  if (answer.kind === 'ok') return (answer.body as { resources: { name: string }[] }).resources.some(({ name }) => name === plural);
  if (answer.status === notFound) return false;
  throw new AppError('api_unavailable', `discovery of ${apiVersion}: ${answer.message}`);
}
