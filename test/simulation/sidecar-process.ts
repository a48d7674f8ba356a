// One life of a sidecar on a simulated host: the real journal, runtime and Process API, on ports that the simulation gives.
// From its end on nothing that it waits for happens. A defect (a broken invariant that it found itself) ends the run.
import { gzipSync } from 'node:zlib';
import { pino, type Logger } from 'pino';
import { isAppError } from '../../common/errors.ts';
import { leaseIdentity, type MemberReport } from '../../common/report.ts';
import { LocalProcess } from '../../sidecar/control-process.ts';
import { openJournal } from '../../sidecar/journal/journal.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { podsToAsk, repairJournal } from '../../sidecar/repair.ts';
import type { Clock, Journal } from '../../sidecar/ports.ts';
import { Runtime } from '../../sidecar/runtime.ts';
import { dataDirectory } from './disk-record.ts';
import { SimulatedLease, SimulatedOwnPod } from './simulated-lease.ts';
import { SimulatedPeers } from './simulated-peers.ts';
import { watchStates } from './state-watch.ts';
import { StreamClient } from './stream-client.ts';
import { transitionName } from './transitions.ts';
import { clusterName, complain, count, type RunningSidecar, type SimulatedHost, type World } from './world.ts';

const silent = pino({ level: 'silent' });
const orderPollMs = 2000;

export class SidecarProcess implements RunningSidecar {
  dead = false;
  readonly session: string;
  readonly startedAtMs: number;
  readonly peers: SimulatedPeers;
  readonly streams: StreamClient;
  /** `null` until the journal is read. */
  control: LocalProcess | null = null;
  #runtime: Runtime | null = null;
  #gateIsOpen = false;
  #phase = 'Starting';
  readonly #lease: SimulatedLease;
  readonly #world: World;
  readonly #host: SimulatedHost;
  readonly #log: Logger;
  readonly #clock: Clock;

  constructor(world: World, host: SimulatedHost) {
    this.#world = world;
    this.#host = host;
    this.session = world.chance.nonce();
    this.startedAtMs = world.scheduler.nowMs;
    this.#lease = new SimulatedLease(world, host, { machine: host, life: this });
    this.peers = new SimulatedPeers(world, host, this);
    this.#log = world.trace.isShown ? shownLog(world, host.pod) : silent;
    this.#clock = this.#createClock();
    this.streams = new StreamClient(world, host, this.#clock, this.#log);
    world.trace.say(world.scheduler.nowMs, host.pod, 'starts');
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      if (isAppError(error)) this.#host.exit(error.code, true);
      else this.#fail(error);
    });
  }

  end(): void {
    this.dead = true;
    this.streams.close();
    this.#lease.close();
  }

  notePhase({ phase, reason = '' }: MemberReport): void {
    const next = reason === '' ? phase : `${phase}(${reason})`;
    if (next === this.#phase) return;
    const [before] = this.#phase.split('(', 1);
    if (before !== undefined && before !== phase) count(this.#world, transitionName('phase', before, phase));
    count(this.#world, `shown: ${this.#phase} -> ${next}`);
    this.#phase = next;
  }

  /** As the holder of the leader Lease. */
  get identity(): string {
    return leaseIdentity(this.#host.pod, this.#host.podUid, this.session);
  }

  /** `Starting` before it has said anything. */
  get phase(): string {
    return this.#phase;
  }

  async #run(): Promise<void> {
    const { swarm } = this.#world;
    const host = this.#host;
    const options = { address: `${host.pod}:5000`, version: 'test' };
    const journal = await this.#openJournal();
    const clock = this.#clock;
    const log = this.#log;
    const { peers, streams } = this;
    const { log: stream, snapshots } = streams;
    const pods = (): string[] => podsToAsk(clusterName, host.pod, this.#world.order);
    // What is told is for people; the log says the same.
    const tell = (): void => undefined;
    await repairJournal({ journal, peers, stream, snapshots, pods, sha256, clock, tell, log });
    const ownPod = new SimulatedOwnPod(this.#world, host, { machine: host, life: this });
    const lease = host.kind === 'dr' ? null : this.#lease;
    const crash = (error: unknown): void => this.#defect(error);
    const member = {
      pod: host.pod,
      podUid: host.podUid,
      session: this.session,
      kind: host.kind,
      checkpointBytes: swarm.checkpointBytes,
      upkeepMs: swarm.upkeepMs,
      retainedFrames: swarm.retainedFrames,
      orphanFrames: swarm.orphanFrames,
      durability: swarm.durability,
      divergedMember: swarm.divergedMember,
      timings: swarm.timings,
      sha256,
    };
    this.#runtime = await Runtime.create(
      { journal, stream, snapshots, peers, lease, ownPod, clock, crash, log },
      { member, tickMs: swarm.tickMs, ...options },
    );
    watchStates(this.#runtime, (aspect, from, to) => count(this.#world, transitionName(aspect, from, to)));
    this.control = new LocalProcess({ runtime: this.#runtime, journal, peers, clock, log });
    this.control.onChange(() => this.#watchGate());
    this.#followOrder([]);
    streams.onState((state) => this.#runtime?.setConnection(state.kind === 'connected' ? null : state.reason));
    this.#runtime.start();
  }

  /** The mounted failover.csv, as failover-order.ts follows it. It changes only where `spec.members` does. */
  #followOrder(known: readonly string[]): void {
    const { order, swarm, scheduler } = this.#world;
    if (order !== known) this.#runtime?.setOrder(order);
    if (!swarm.faults.includes('membersChange')) return;
    scheduler.after(orderPollMs, 'failoverOrder', { machine: this.#host, life: this }, () => this.#followOrder(order));
  }

  #openJournal(): Promise<Journal> {
    return openJournal({
      directory: dataDirectory,
      sha256,
      log: this.#log,
      onFatal: (error) => this.#fail(error),
      segmentBytes: this.#world.swarm.segmentBytes,
      // A disk in memory pays for each byte of it at each start.
      roomBytes: this.#world.swarm.segmentBytes / 4,
      disk: this.#host.disk.mount(this.#host, this),
      compress: atOnce,
    });
  }

  #createClock(): Clock {
    const { scheduler, chance } = this.#world;
    const host = this.#host;
    const where = { machine: host, life: this };
    const bootMs = scheduler.nowMs - chance.between(0, 100_000);
    return {
      nowMs: () => (scheduler.nowMs - bootMs) / host.rate,
      wallMs: () => host.wallMs(),
      after: (ms, run) => scheduler.after(ms * host.rate, 'timer', where, run),
      nonce: () => chance.nonce(),
    };
  }

  #watchGate(): void {
    if (this.#gateIsOpen || this.control?.started() !== true) return;
    this.#gateIsOpen = true;
    this.#world.api.setPod(this.#host.pod, { ready: true });
    this.#world.oracles.started(this.#host.pod, this.control.uid, this.startedAtMs);
  }

  /** The process ends itself: rightly when the disk has failed. */
  #fail(error: unknown): void {
    if (hasFailedSync(error)) this.#host.exit('a sync failed', true);
    else if (isAppError(error) && this.#host.record.isDamaged) this.#host.exit('a read found damage', true);
    else this.#defect(error);
  }

  #defect(error: unknown): void {
    if (this.dead) return;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    complain(this.#world, 'defect', `${this.#host.pod}: ${what}`);
    this.#host.crash('a defect', true);
  }
}

/** Threads are no part of a simulation. */
async function* atOnce(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of content) yield gzipSync(bytes);
}

function hasFailedSync(error: unknown): boolean {
  return error instanceof Error && (('code' in error && error.code === 'EIO') || hasFailedSync(error.cause));
}

function shownLog(world: World, pod: string): Logger {
  const write = (line: string): void => {
    const { level: _level, msg, ...fields } = JSON.parse(line) as { level: number; msg: string };
    world.trace.say(world.scheduler.nowMs, pod, `${msg} ${JSON.stringify(fields)}`);
  };
  return pino({ level: 'info', base: null, timestamp: false }, { write });
}
