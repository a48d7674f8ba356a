// /metrics for Prometheus: the process's own figures, where this member stands, and requests by status code.
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { ControlProcess, RoleName } from './process.ts';
import type { Route } from './route.ts';

const eventLoopSampleMs = 100;
const roles: readonly RoleName[] = ['leader', 'follower', 'dr', 'none'];

export interface Metrics {
  readonly route: Route;
  countRequest(status: number): void;
}

export function createMetrics(process: ControlProcess): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopSampleMs });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `controlcluster_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge('uid', 'UID of the last change that is applied here.', () => process.uid);
  gauge('epoch', 'Epoch of the leader that this member follows or is.', () => process.role().epoch);
  gauge('lag_changes', 'Changes that the leader has and this member does not.', () => process.report().lag);
  gauge('ready', '1 when this member leads or follows in sync.', () => (process.ready() ? 1 : 0));
  new Gauge({
    name: 'controlcluster_role',
    help: '1 for the role of this member, 0 for the others.',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      const now = process.role().role;
      for (const role of roles) this.set({ role }, role === now ? 1 : 0);
    },
  });
  const requests = new Counter({
    name: 'controlcluster_http_requests_total',
    help: 'Requests that were answered, by status code.',
    labelNames: ['code'],
    registers: [registry],
  });
  return {
    route: {
      method: 'GET',
      path: '/metrics',
      access: 'open',
      summary: 'Figures for Prometheus.',
      answers: { 200: { description: 'The text format of Prometheus.', type: 'text/plain' } },
      handler: async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
    },
    countRequest: (status) => {
      requests.inc({ code: status });
    },
  };
}
