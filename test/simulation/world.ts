// One simulated world: its chance, its queue of events, what was drawn for it, its servers and its hosts. Parts find each other here.
// It has no behaviour but the end: the first broken invariant stops the run.
import type { Chance } from './chance.ts';
import type { MemberReport } from '../../common/report.ts';
import type { LocalProcess } from '../../sidecar/control-process.ts';
import type { ApiServer } from './api-server.ts';
import type { Network, Station } from './network.ts';
import type { Oracles } from './oracles.ts';
import type { Life, Scheduler } from './scheduler.ts';
import type { DiskRecord } from './disk-record.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import type { StreamServers } from './stream-servers.ts';
import type { FaultKind, Swarm } from './swarm.ts';
import type { Trace } from './trace.ts';

export const clusterName = 'trading';

export interface Violation {
  readonly invariant: string;
  readonly message: string;
  readonly atMs: number;
}

/** A host, as the parts of the world see it. */
export interface SimulatedHost extends Station {
  readonly kind: 'member' | 'dr';
  readonly disk: SimulatedDisk;
  readonly record: DiskRecord;
  /** Simulated milliseconds in one of its monotonic milliseconds. */
  readonly rate: number;
  readonly apiReachable: boolean;
  readonly podUid: string;
  /** How often it stood still. */
  readonly pauses: number;
  /** Its pod is there, and is not being deleted. */
  readonly wanted: boolean;
  readonly process: RunningSidecar | null;
  /** Why it ended by itself the last time; `''` before. */
  readonly lastExit: string;
  /** Whole milliseconds. */
  wallMs(): number;
  reported(report: MemberReport): void;
  crash(why: string, keepsPower: boolean): void;
  /** As `crash`, by itself: it is started again. */
  exit(why: string, keepsPower: boolean): void;
  /** Another disk is there when it starts again: an empty one, or a copy. */
  loseVolume(copy: ReturnType<SimulatedDisk['snapshot']> | null): void;
  startAfter(delayMs: number): void;
}

export interface RunningSidecar extends Life {
  readonly startedAtMs: number;
  /** `null` until the journal is read. */
  readonly control: LocalProcess | null;
  readonly peers: {
    readonly onMessageHandler: (payload: Uint8Array) => void;
    readonly onRequestHandler: ((payload: Uint8Array) => Promise<Uint8Array>) | null;
  };
  /** As it said last; `Starting` before. */
  readonly phase: string;
  /** As the holder of the leader Lease. */
  readonly identity: string;
}

/** A fault that was carried out. Those that are left out keep their numbers. */
export interface Injection {
  readonly number: number;
  readonly kind: FaultKind;
}

export interface World {
  readonly seed: number;
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly swarm: Swarm;
  readonly oracles: Oracles;
  readonly network: Network;
  readonly streams: StreamServers;
  readonly api: ApiServer;
  readonly hosts: readonly SimulatedHost[];
  /** Electable pods in the order of failover.csv, as the operator wrote it last. */
  order: readonly string[];
  /** `spec.members`, as a person wrote it last. */
  members: number;
  violation: Violation | null;
  /** How often each thing happened: faults by kind, phases and their changes. */
  readonly counts: Map<string, number>;
  readonly injections: Injection[];
}

export function count(world: Pick<World, 'counts'>, what: string): void {
  world.counts.set(what, (world.counts.get(what) ?? 0) + 1);
}

export function complain(world: World, invariant: string, message: string): void {
  world.trace.say(world.scheduler.nowMs, '!!!', `${invariant}: ${message}`);
  world.violation ??= { invariant, message, atMs: world.scheduler.nowMs };
}
