// One simulated machine with its disk, its clocks and its pod. The sidecar runs on it as a process that may end at any moment and is started again.
// What may go wrong with it is done to it from outside (faults.ts).
import { noteDiskLost } from './stream-copy.ts';
import type { MemberReport } from '../../common/report.ts';
import { sidecarState, wallEpochMs } from './api-server.ts';
import { DiskRecord } from './disk-record.ts';
import { SidecarProcess } from './sidecar-process.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { complain, count, type SimulatedHost, type World } from './world.ts';

const podStatusDelayMs = 1000;
/** A pod that is deleted is killed after this. */
const graceMs = 4000;

export class Host implements SimulatedHost {
  readonly pod: string;
  readonly kind: 'member' | 'dr';
  readonly number: number;
  readonly disk: SimulatedDisk;
  readonly record: DiskRecord;
  /** Simulated milliseconds in one of its monotonic milliseconds. */
  readonly rate: number;
  readonly held: SimulatedHost['held'] = [];
  paused = false;
  natsReachable = true;
  apiReachable = true;
  wallOffsetMs: number;
  podUid = '';
  process: SidecarProcess | null = null;
  /** It is started again by itself when it ends; not while something else keeps it down. */
  wanted = false;
  restarts = 0;
  lastExit = '';
  /** How often it stood still. */
  pauses = 0;
  #pods = 0;
  #revision = 'r1';
  readonly #world: World;

  constructor(world: World, pod: string, kind: 'member' | 'dr', number: number) {
    const { chance, swarm, oracles, scheduler } = world;
    this.#world = world;
    this.pod = pod;
    this.kind = kind;
    this.number = number;
    this.rate = 1 + chance.between(-swarm.drift, swarm.drift);
    this.wallOffsetMs = Math.floor(chance.between(-1000, 1000));
    this.disk = new SimulatedDisk(chance, scheduler, swarm.disk);
    this.record = new DiskRecord(pod, this.disk, oracles.book, (invariant, message) => {
      complain(world, invariant, message);
    });
    oracles.watch(pod, this.record);
  }

  /** Whole milliseconds. */
  wallMs(): number {
    return Math.floor(wallEpochMs + this.#world.scheduler.nowMs + this.wallOffsetMs);
  }

  /** A new pod of the same name, on the same volume. */
  replacePod(revision = this.#revision): void {
    this.#revision = revision;
    this.wanted = true;
    this.#pods += 1;
    this.restarts = 0;
    this.podUid = `${this.pod}-${String(this.#pods)}`;
    this.#world.api.addPod(this.pod, this.podUid, revision);
  }

  start(): void {
    if (this.process !== null || !this.wanted) return;
    this.resume();
    const { restarts, podUid } = this;
    const startedAtMs = this.wallMs();
    this.process = new SidecarProcess(this.#world, this);
    this.process.start();
    this.#world.scheduler.later(this.#world.chance.between(1, podStatusDelayMs), 'podStatus', () => {
      if (podUid === this.podUid && restarts === this.restarts)
        this.#world.api.setPod(this.pod, { sidecar: sidecarState(restarts, startedAtMs, null) });
    });
  }

  /** The process ends here, between two events. `keepsPower`: what it had written is in the page cache. */
  crash(why: string, keepsPower: boolean): void {
    const ended = this.process;
    if (ended !== null) {
      this.#world.trace.say(this.#world.scheduler.nowMs, this.pod, `ends: ${why}`);
      ended.end();
      this.process = null;
      this.restarts += 1;
      this.#world.oracles.ended(this.pod);
      this.disk.abandon();
      this.#tellEnd();
    }
    if (!keepsPower) this.disk.losePower();
  }

  /** Another disk is there when it starts again: an empty one, or a copy. */
  loseVolume(copy: ReturnType<SimulatedDisk['snapshot']> | null): void {
    this.crash('its disk is replaced', true);
    this.lastExit = '';
    this.record.forget();
    noteDiskLost(this.#world, this.pod);
    if (copy === null) this.disk.lose();
    else this.disk.restore(copy);
  }

  /** By itself: after a pause it is started again, as the kubelet does. */
  exit(why: string, keepsPower: boolean): void {
    count(this.#world, `exit: ${why}`);
    this.lastExit = why;
    this.crash(why, keepsPower);
    this.startAfter(this.#world.chance.between(50, 1500));
  }

  startAfter(delayMs: number): void {
    this.#world.scheduler.later(delayMs, 'start', () => {
      this.start();
    });
  }

  /** Its pod is deleted: the preStop hook hands over, then it ends and is gone. */
  terminate(onGone: () => void): void {
    if (!this.wanted) return;
    this.wanted = false;
    const { api, scheduler } = this.#world;
    api.setPod(this.pod, { deleting: true, ready: false });
    const { podUid } = this;
    const end = (): void => {
      if (this.wanted || podUid !== this.podUid || !api.pods.has(this.pod)) return;
      this.crash('its pod is deleted', true);
      this.paused = false;
      this.held.length = 0;
      api.removePod(this.pod);
      onGone();
    };
    const handedOver = this.process?.control?.handOver();
    if (handedOver === undefined) end();
    else void handedOver.then(end);
    scheduler.later(graceMs, 'killAfterGrace', end);
  }

  /** SIGSTOP: what comes is held. */
  pause(): void {
    this.paused = true;
    this.pauses += 1;
  }

  resume(): void {
    if (this.paused) this.#world.scheduler.resume(this);
  }

  /** It cannot take part now. */
  get isOut(): boolean {
    return this.process === null || this.paused || !this.natsReachable;
  }

  setNats(reachable: boolean): void {
    this.natsReachable = reachable;
    if (reachable) this.process?.streams.heal();
    else this.process?.streams.cut();
  }

  /** All is well with it, and it runs. */
  heal(): void {
    this.resume();
    this.apiReachable = true;
    this.setNats(true);
    this.disk.full = this.disk.failsSyncs = false;
    this.disk.slowness = 1;
    this.start();
  }

  reported(report: MemberReport): void {
    this.#world.oracles.reported(report);
    this.process?.notePhase(report);
  }

  #tellEnd(): void {
    const world = this.#world;
    const { podUid, restarts } = this;
    const ended = { exitCode: 1, reason: 'Error', message: '', finishedAtMs: Math.floor(this.wallMs() / 1000) * 1000 };
    world.scheduler.later(world.chance.between(1, podStatusDelayMs), 'podStatus', () => {
      if (podUid === this.podUid && restarts === this.restarts && this.process === null)
        world.api.setPod(this.pod, { sidecar: sidecarState(restarts, 0, ended), ready: false });
    });
  }
}
