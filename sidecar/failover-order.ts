// The order of the electable members, from the mounted failover.csv (K5), which changes while the sidecar runs.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { parseFailover } from '../common/failover.ts';

const pollMs = 2000;

export interface FailoverOrderOptions {
  readonly file: string;
  /** Electable members stand first; DR replicas follow them. */
  readonly members: number;
  readonly onOrder: (pods: readonly string[]) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Reads the file at once and then every two seconds; a mounted ConfigMap is replaced by a link that file watches miss. */
export async function followFailoverOrder({ file, members, onOrder, log, signal }: FailoverOrderOptions): Promise<void> {
  let known = '';
  let failed = '';
  while (!signal.aborted) {
    try {
      const text = await readFile(file, 'utf8');
      if (text !== known) {
        const pods = parseFailover(text)
          .slice(0, members)
          .map(({ host }) => host.split('.', 1)[0] ?? host);
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
