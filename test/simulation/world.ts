// One simulated world: its chance, its queue of events, what was drawn for it, its servers and its hosts. Parts find each other here.
// It has no behaviour but the end: the first broken invariant stops the run.
import type { Chance } from './chance.ts';
import type { ApiServer } from './api-server.ts';
import type { Host } from './host.ts';
import type { Network } from './network.ts';
import type { Oracles } from './oracles.ts';
import type { Scheduler } from './scheduler.ts';
import type { StreamServer } from './stream-server.ts';
import type { Swarm } from './swarm.ts';
import type { Trace } from './trace.ts';

export interface Violation {
  readonly invariant: string;
  readonly message: string;
  readonly atMs: number;
}

export interface World {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly swarm: Swarm;
  readonly oracles: Oracles;
  readonly network: Network;
  readonly stream: StreamServer;
  readonly api: ApiServer;
  readonly hosts: readonly Host[];
  /** Electable pods in the order of failover.csv. */
  readonly order: readonly string[];
  violation: Violation | null;
  /** How often each thing happened: faults by kind, phases and their changes. */
  readonly counts: Map<string, number>;
}

export function count(world: World, what: string): void {
  world.counts.set(what, (world.counts.get(what) ?? 0) + 1);
}

export function complain(world: World, invariant: string, message: string): void {
  world.trace.say(world.scheduler.nowMs, '!!!', `${invariant}: ${message}`);
  world.violation ??= { invariant, message, atMs: world.scheduler.nowMs };
}
