// One replica of the operator, from its start to its end: health server, election, and, while it is elected, the reconciler.
// It ends when it is stopped or loses its Lease; it is never active twice.
import type { Logger } from 'pino';
import type { OperatorConfig } from '../config.ts';
import { HealthServer } from './health-server.ts';
import { KubeApi } from './kube-api.ts';
import type { KubeEndpoint } from './kube-endpoint.ts';
import { LeaderElection } from './leader-election.ts';
import { Metrics } from './metrics.ts';
import { Reconciler } from './reconciler.ts';

const leaseName = 'controlcluster-operator';

export interface Operator {
  /** How it ended: asked to, or because another replica may be active now. Rejects when it failed. */
  readonly ended: Promise<'stopped' | 'lost'>;
  /** Resolves when all work has ended and the Lease is free. */
  stop(): Promise<void>;
}

export async function startOperator(endpoint: KubeEndpoint, config: OperatorConfig, log: Logger): Promise<Operator> {
  const metrics = new Metrics();
  const api = new KubeApi(endpoint, metrics);
  const health = new HealthServer(metrics);
  const { namespace, identity, leaseDurationMs, renewDeadlineMs, retryPeriodMs } = config;
  const election = new LeaderElection(api, { namespace, leaseName, identity, leaseDurationMs, renewDeadlineMs, retryPeriodMs }, log);
  log.info({ port: await health.listen(config.port), identity }, 'operator started');
  health.ready = true;

  const run = async (): Promise<'stopped' | 'lost'> => {
    try {
      if (!(await election.acquire())) return 'stopped';
      log.info('operator is active');
      metrics.setLeader(true);
      const reconciler = new Reconciler({ api, settings: config.sidecar, instance: identity, metrics, log });
      const holding = election.hold();
      await Promise.race([reconciler.start(), holding]);
      const outcome = await holding;
      log.info({ outcome }, 'operator is no longer active');
      await reconciler.stop();
      await election.release();
      return outcome;
    } finally {
      metrics.setLeader(false);
      await health.close();
      api.close();
    }
  };
  const ended = run();
  return {
    ended,
    stop: async () => {
      election.stop();
      await ended;
    },
  };
}
