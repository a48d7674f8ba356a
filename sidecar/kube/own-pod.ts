// What this pod says of itself: its report on the member Lease, which is its heartbeat too, and the role label that the Service follows.
// Only the newest value counts; what could not be written is tried again until it was, or something newer replaced it.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAppError } from '../../common/errors.ts';
import { annotations, labels, memberLeaseName, type PodRole } from '../../common/names.ts';
import type { MemberReport } from '../../common/report.ts';
import type { OwnPod } from '../ports.ts';
import type { Call, KubeApi } from './kube-api.ts';
import { leasePath, microTime } from './leader-lease.ts';

/** Heartbeat on the member Lease (K13). */
const heartbeatMs = 2000;
/** Reports that differ are written at most this often. */
const coalesceMs = 200;
const retryMs = 500;
const memberLeaseDurationSeconds = 10;
const mergePatch = 'application/merge-patch+json';

export interface OwnPodOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly pod: string;
  readonly log: Logger;
}

export function createOwnPod({ api, namespace, pod, log }: OwnPodOptions): OwnPod & { close: () => void } {
  const closing = new AbortController();
  let report: MemberReport | null = null;
  let changed = new AbortController();
  let role: PodRole | null = null;
  let labelled: PodRole | null = null;
  let labelling = false;
  /** The refusal that was logged last: each is logged once, not at each try. */
  let told = '';

  const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    delay(ms, undefined, { signal: AbortSignal.any([signal, closing.signal]) }).catch(() => undefined);

  /** True when the API server took it; a refusal is logged and tried again too: the operator may still be about to grant the right. */
  const attempt = async (call: Call, what: string): Promise<boolean> => {
    try {
      const answer = await api.send(call);
      const refusal = answer.kind === 'refused' ? `${what} ${String(answer.status)}` : '';
      if (refusal !== '' && refusal !== told) log.warn({ what, refusal }, 'Kubernetes refused');
      told = refusal;
      return answer.kind === 'ok';
    } catch (error) {
      if (!isAppError(error)) throw error;
      log.debug({ what, detail: error.detail }, 'Kubernetes did not answer');
      return false;
    }
  };

  const writeReports = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      changed = new AbortController();
      const written = await attempt(
        {
          method: 'PATCH',
          path: leasePath(namespace, memberLeaseName(pod)),
          contentType: mergePatch,
          body: {
            metadata: { annotations: { [annotations.report]: JSON.stringify(report) } },
            spec: { holderIdentity: pod, renewTime: microTime(), leaseDurationSeconds: memberLeaseDurationSeconds },
          },
        },
        'member report',
      );
      await sleep(coalesceMs, closing.signal);
      if (!changed.signal.aborted) await sleep(written ? heartbeatMs - coalesceMs : retryMs, changed.signal);
    }
  };

  const writeLabel = async (): Promise<void> => {
    labelling = true;
    while (role !== labelled && !closing.signal.aborted) {
      const wanted = role;
      const body = { metadata: { labels: { [labels.role]: wanted } } };
      if (
        await attempt({ method: 'PATCH', path: `/api/v1/namespaces/${namespace}/pods/${pod}`, contentType: mergePatch, body }, 'role label')
      )
        labelled = wanted;
      else await sleep(retryMs, closing.signal);
    }
    labelling = false;
  };

  return {
    report(next) {
      const first = report === null;
      report = next;
      changed.abort();
      if (first) void writeReports();
    },
    labelRole(next) {
      role = next;
      if (!labelling) void writeLabel();
    },
    close: () => closing.abort(),
  };
}
