// What the operator measures of itself, for Prometheus.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface Requests {
  count(method: string, status: number): void;
}

export class Metrics implements Requests {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: 'controlcluster_operator_api_requests_total',
    help: 'Requests to the Kubernetes API.',
    labelNames: ['method', 'code'] as const,
    registers: [this.registry],
  });
  readonly #actions = new Counter({
    name: 'controlcluster_operator_actions_total',
    help: 'Actions carried out.',
    labelNames: ['kind'] as const,
    registers: [this.registry],
  });
  readonly #reconciles = new Histogram({
    name: 'controlcluster_operator_reconcile_seconds',
    help: 'Time from observation to the last action.',
    labelNames: ['outcome'] as const,
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [this.registry],
  });
  readonly #leader = new Gauge({
    name: 'controlcluster_operator_leader',
    help: '1 while this replica is the active one.',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  count(method: string, status: number): void {
    this.#requests.inc({ method, code: String(status) });
  }

  countAction(kind: string): void {
    this.#actions.inc({ kind });
  }

  observeReconcile(outcome: 'done' | 'failed', durationMs: number): void {
    this.#reconciles.observe({ outcome }, durationMs / 1000);
  }

  setLeader(active: boolean): void {
    this.#leader.set(active ? 1 : 0);
  }
}
