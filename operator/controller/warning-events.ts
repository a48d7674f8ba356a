// What Kubernetes itself says of why a pod is not there: its latest Warning Event about the pod or its StatefulSet. Asked for when it is needed, not watched.
// Without the right to list Events there is no answer.
import type { Question } from '../core/questions.ts';
import type { KubeApi } from './kube-api.ts';
import { eventKind, namespacedPath } from './resource-kind.ts';

/** Of the Events about one object that are kept, which is an hour. */
const maxEvents = 200;

interface WarningEvent {
  readonly note?: string;
  readonly eventTime?: string | null;
  readonly deprecatedLastTimestamp?: string | null;
  readonly series?: { readonly lastObservedTime?: string };
}

/** By pod. Throws AppError api_unavailable. */
export async function answersTo(
  questions: readonly Question[],
  api: Pick<KubeApi, 'send'>,
  namespace: string,
): Promise<ReadonlyMap<string, string>> {
  const answers = new Map<string, string>();
  for (const asked of Map.groupBy(questions, ({ kind, name }) => `${kind} ${name}`).values()) {
    const [first] = asked;
    if (first === undefined) continue;
    const fieldSelector = `type=Warning,regarding.kind=${first.kind},regarding.name=${first.name}`;
    const answer = await api.send('GET', namespacedPath(eventKind, namespace), { query: { fieldSelector, limit: String(maxEvents) } });
    if (answer.kind === 'refused') continue;
    const events = (answer.body as { items: readonly WarningEvent[] }).items.toSorted((a, b) => lastSeenMs(b) - lastSeenMs(a));
    for (const { kind, pod } of asked) {
      // Those of a StatefulSet name the pod that it cannot make.
      const note = events.find((event) => kind === 'Pod' || event.note?.split(' ').includes(pod))?.note;
      if (note !== undefined) answers.set(pod, note);
    }
  }
  return answers;
}

const lastSeenMs = ({ series, deprecatedLastTimestamp, eventTime }: WarningEvent): number =>
  Date.parse(series?.lastObservedTime ?? deprecatedLastTimestamp ?? eventTime ?? '') || 0;
