// Says of a ControlCluster that this version of the operator cannot read it, for example because the CRD is a later one's: in one condition and an Event.
// Of the status that it does not know it changes nothing else.
import type { Condition } from '../../common/status.ts';
import type { KubeObject } from '../core/observed.ts';
import type { EventRecorder } from './event-recorder.ts';
import { mergePatch, type KubeApi } from './kube-api.ts';
import { clusterKind, namespacedPath } from './resource-kind.ts';

type Found = Readonly<Record<string, unknown>>;

/** Throws AppError api_unavailable. */
export async function reportUnreadable(
  object: KubeObject,
  message: string,
  api: Pick<KubeApi, 'send'>,
  events: Pick<EventRecorder, 'record'>,
): Promise<void> {
  const { name, namespace = '', uid = '', resourceVersion, generation = 0 } = object.metadata;
  const condition: Condition = {
    ...{ type: 'Progressing', status: 'False', reason: 'Unreadable', message },
    observedGeneration: generation,
    lastTransitionTime: new Date().toISOString(),
  };
  const { conditions = [] } = (object.status ?? {}) as { conditions?: readonly Found[] };
  const before = conditions.find(({ type }) => type === condition.type);
  if (before?.reason === condition.reason && before.message === message) return;
  const body = { metadata: { resourceVersion }, status: { conditions: [...conditions.filter((one) => one !== before), condition] } };
  await api.send('PATCH', `${namespacedPath(clusterKind, namespace, name)}/status`, { body, contentType: mergePatch });
  await events.record({ metadata: { name, namespace, uid } }, { type: 'Warning', reason: condition.reason, message });
}
