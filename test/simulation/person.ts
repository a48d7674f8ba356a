// The person behind a simulated cluster, when all faults are over: a cluster that lacks its high-water mark, and cannot have it any more, is forced to start (K10).
// Only what the disks and the stream have lost together excuses that; anything else that keeps a cluster from opening is a violation.
import { comparePositions } from '../../common/position.ts';
import { isLed } from './convergence.ts';
import { complain, count, type SimulatedHost, type World } from './world.ts';

/** The cluster has so long to find what it lacks. */
const patienceMs = 30_000;
/** Of requests to NATS each tenth may be lost, and each tenth answered by a server that is behind: to find what is there only takes so long at times. */
const searchMs = 60_000;
/** A new volume is there so soon. */
const repairMs = 500;

export class Person {
  readonly #world: World;
  readonly #hosts: readonly SimulatedHost[];
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(world: World, hosts: readonly SimulatedHost[]) {
    this.#world = world;
    this.#hosts = hosts;
  }

  /** Looks at the cluster, which has been without faults since `sinceMs`. */
  look(sinceMs: number): void {
    const { scheduler, oracles, api, trace } = this.#world;
    const { nowMs } = scheduler;
    for (const host of this.#hosts) this.#replaceUnreadable(host, nowMs - sinceMs);
    if (nowMs - sinceMs < patienceMs || nowMs - this.#askedAtMs < patienceMs) return;
    // The operator judges by what the members report, and does not know what the stream has: it asks a person too.
    const isRefused = api.status?.conditions?.some(({ type, reason }) => type === 'GateOpen' && reason === 'BelowHighWaterMark') === true;
    const gaveUp = this.#hosts.some(({ kind, process }) => kind === 'member' && process?.phase.includes('BelowHighWaterMark') === true);
    // `divergedMember: Block` asks a person, and the one that is blocked may be needed for a majority.
    const isBlocked = !isLed(this.#world) && this.#hosts.some(({ process }) => process?.phase === 'Blocked(Diverged)');
    if (!isRefused && !gaveUp && !isBlocked) return;
    // The status may have a newer one by now, and who gave up goes by its round.
    const wanted = api.lease.round?.highWaterMark ?? null;
    const mark = wanted === null ? undefined : oracles.book.get(wanted.hash);
    if (gaveUp && mark !== undefined && !oracles.losses.excuse(mark)) {
      if (nowMs - sinceMs >= searchMs)
        complain(this.#world, 'I6', `the high-water mark, UID ${String(wanted?.uid)}, is somewhere and nobody finds it`);
      return;
    }
    const pod = this.#mostAdvanced();
    if (pod === null) return;
    this.#askedAtMs = nowMs;
    trace.say(nowMs, '***', `a person forces ${pod} to start`);
    api.setPod(pod, { orders: { forceStart: true, discardLocal: false } });
  }

  /** A journal that cannot be opened, or has a hole that nobody fills, is given up with its volume. */
  #replaceUnreadable(host: SimulatedHost, withoutFaultsMs: number): void {
    const { isDamaged } = host.record;
    if (!isDamaged || (host.process?.control ?? null) !== null) return;
    const isUnreadable = host.lastExit === 'journal_corrupt' || host.lastExit === 'journal_version';
    const waitsMs = host.process === null ? 0 : this.#world.scheduler.nowMs - host.process.startedAtMs;
    if (!isUnreadable && Math.min(waitsMs, withoutFaultsMs) < patienceMs) return;
    const { damaged } = host.record;
    if (!isUnreadable && damaged.length > 0 && damaged.every((hash) => this.#isSomewhere(hash, host)))
      complain(this.#world, 'I5', `${host.pod} waits for damaged frames that others have: ${damaged.join(', ')}`);
    count(this.#world, `person: empty volume for ${isUnreadable ? host.lastExit : 'a hole that nobody fills'}`);
    host.loseVolume(null);
    host.startAfter(repairMs);
  }

  /** Where a repair looks: at all pods, and in the stream. */
  #isSomewhere(hash: string, lacking: SimulatedHost): boolean {
    const { streams, oracles } = this.#world;
    const isRunning = (host: SimulatedHost): boolean =>
      host !== lacking && (host.process?.control ?? null) !== null && host.record.holds(hash);
    const inStream = Array.from(streams.log.content?.bytes() ?? []);
    return this.#hosts.some(isRunning) || inStream.some((bytes) => oracles.book.framesIn(bytes).some((frame) => frame.hash === hash));
  }

  #mostAdvanced(): string | null {
    const reports = this.#hosts.flatMap(({ kind, process }) => (kind === 'member' ? (process?.control?.report() ?? []) : []));
    const [best] = reports.sort((a, b) => comparePositions(b.position, a.position));
    return best?.pod ?? null;
  }
}
