// The order of the electable members, from the mounted failover.csv (K5), which changes while the sidecar runs.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { parseFailover } from '../common/failover.ts';
import { isDrPod } from '../common/names.ts';

const pollMs = 2000;

export interface FailoverOrderOptions {
  readonly file: string;
  /** DR replicas stand in the file too, and are told by their names. */
  readonly cluster: string;
  readonly onOrder: (pods: readonly string[]) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Reads the file at once and then every two seconds; a mounted ConfigMap is replaced by a link that file watches miss. */
export async function followFailoverOrder({ file, cluster, onOrder, log, signal }: FailoverOrderOptions): Promise<void> {
  let known = '';
  let failed = '';
  while (!signal.aborted) {
    try {
      const text = await readFile(file, 'utf8');
      if (text !== known) {
        const pods = parseFailover(text)
          .map(({ host }) => host.split('.', 1)[0] ?? host)
          .filter((pod) => !isDrPod(cluster, pod));
        known = text;
        log.info({ order: pods }, 'failover order read');
        onOrder(pods);
      }
      failed = '';
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== failed) log.error({ file, reason }, 'failover order cannot be read');
      failed = reason;
    }
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}
