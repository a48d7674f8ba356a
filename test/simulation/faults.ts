// What goes wrong in a simulation: one fault after the other while the phase of faults lasts, each for a time that was drawn, several at once.
// `heal` ends them all. Faults act on the world only; no part of a program is told.
import { Chance } from './chance.ts';
import { down, downMs, others, type Act, type Controllers, type DiskCopy } from './fault-act.ts';
import type { Host } from './host.ts';
import { orderFaults } from './order-faults.ts';
import { streamFaults } from './stream-faults.ts';
import type { FaultKind } from './swarm.ts';
import { count, type World } from './world.ts';
import { volumeFaults } from './volume-faults.ts';

/** `allDown` never leaves a majority. */
const takesOut: ReadonlySet<FaultKind> = new Set([
  'kill',
  'powerLoss',
  'allDown',
  'podDeleted',
  'stop',
  'pause',
  'natsCut',
  'syncFails',
  'partition',
]);
const handOverLimitMs = 4000;
/** More than a phase of faults has time for. Also what keeps the chance of one seed's faults apart from that of the next. */
const maxInjections = 4096;

export class Faults {
  readonly #world: World;
  readonly #allHosts: readonly Host[];
  readonly #controllers: Controllers;
  #isOver = false;
  readonly #copies = new Map<Host, DiskCopy>();
  #injections = 0;

  constructor(world: World, hosts: readonly Host[], controllers: Controllers) {
    this.#world = world;
    this.#allHosts = hosts;
    this.#controllers = controllers;
  }

  begin(): void {
    if (this.#world.swarm.faults.length > 0) this.#next();
  }

  #next(): void {
    const { scheduler, swarm, seed } = this.#world;
    const number = this.#injections;
    this.#injections += 1;
    const chance = new Chance(seed * maxInjections + number);
    scheduler.later(chance.between(0, 2 * swarm.faultGapMs), 'fault', () => {
      if (this.#isOver || number >= maxInjections) return;
      this.#next();
      if (!swarm.skipped.includes(number)) this.#inject(number, chance);
    });
  }

  get #hosts(): readonly Host[] {
    return this.#allHosts.filter(({ wanted }) => wanted);
  }

  #inject(number: number, chance: Chance): void {
    const { scheduler, swarm, trace, injections } = this.#world;
    const kind = chance.pick(swarm.faults);
    if (this.#hosts.length === 0) return;
    const host = this.#pickHost(chance);
    if (swarm.keepsMajority && takesOut.has(kind) && !this.#canSpare(host)) return;
    count(this.#world, `fault: ${kind}`);
    trace.say(scheduler.nowMs, '***', `${String(number)}: ${kind} ${host.pod}`);
    injections.push({ number, kind });
    inject[kind](this.#act(host, chance));
  }

  #pickHost(chance: Chance): Host {
    const { swarm } = this.#world;
    const hosts = this.#hosts;
    const leading = hosts.filter(({ process }) => process?.phase === 'Leading');
    return leading.length > 0 && chance.happens(swarm.leaderShare) ? chance.pick(leading) : chance.pick(hosts);
  }

  #canSpare(host: Host): boolean {
    const { members } = this.#world;
    const out = this.#hosts.filter((each) => each.kind === 'member' && (each === host || each.isOut));
    return 2 * out.length < members;
  }

  #act(host: Host, chance: Chance): Act {
    const { scheduler, swarm } = this.#world;
    const whileLasts = (begin: () => void, end: () => void): void => {
      begin();
      scheduler.later(chance.between(10, 2 * swarm.faultLastsMs), 'faultEnds', () => {
        if (!this.#isOver) end();
      });
    };
    const [world, hosts, copies] = [this.#world, this.#hosts, this.#copies];
    return { world, chance, ...this.#controllers, hosts, host, whileLasts, copies };
  }

  /** Everything works from now on, and everybody runs. */
  heal(): void {
    this.#isOver = true;
    const world = this.#world;
    world.network.mendAll();
    world.api.away = false;
    world.api.tear(false);
    world.api.lateMs = 0;
    world.streams.start();
    world.streams.setLeader(true);
    this.#controllers.operator.start();
    for (const host of this.#allHosts) host.heal();
  }
}

const inject: { readonly [Kind in FaultKind]: (act: Act) => void } = {
  kill: (act) => down(act, true),
  powerLoss: (act) => down(act, false),
  allDown: (act) => {
    if (act.world.swarm.keepsMajority) return;
    const keepsPower = act.chance.happens(0.5);
    for (const host of act.hosts) down({ ...act, host }, keepsPower);
  },
  podDeleted: (act) => {
    down(act, true);
    act.host.replacePod();
  },
  stop: (act) => {
    const { world, host } = act;
    const { process } = host;
    if (process?.control === null || process === null) return;
    const end = (): void => {
      if (process.dead) return;
      host.crash('stopped', true);
      host.startAfter(downMs(act));
    };
    void process.control.handOver().then(end);
    world.scheduler.later(handOverLimitMs, 'killAfterGrace', end);
  },
  pause: ({ host, whileLasts }) => {
    whileLasts(
      () => host.pause(),
      () => host.resume(),
    );
  },
  natsCut: ({ host, whileLasts }) => {
    whileLasts(
      () => host.setNats(false),
      () => host.setNats(true),
    );
  },
  oneWayCut: (act) => {
    const { world, host, chance, whileLasts } = act;
    for (const other of chance.some(others(act), 0.5)) {
      const [from, to] = chance.happens(0.5) ? [host, other] : [other, host];
      whileLasts(
        () => world.network.cut(from.pod, to.pod),
        () => world.network.mend(from.pod, to.pod),
      );
    }
  },
  partition: ({ world, hosts, host, chance, whileLasts }) => {
    const side = world.swarm.keepsMajority ? new Set([host]) : new Set(chance.some(hosts, 0.5));
    const pairs = hosts.flatMap((from) => hosts.filter((to) => side.has(from) !== side.has(to)).map((to) => ({ from, to })));
    whileLasts(
      () => {
        for (const { from, to } of pairs) world.network.cut(from.pod, to.pod);
      },
      () => {
        for (const { from, to } of pairs) world.network.mend(from.pod, to.pod);
      },
    );
  },
  apiCut: ({ host, whileLasts }) => {
    whileLasts(
      () => (host.apiReachable = false),
      () => (host.apiReachable = true),
    );
  },
  apiAway: ({ world, whileLasts }) => {
    whileLasts(
      () => (world.api.away = true),
      () => (world.api.away = false),
    );
  },
  leaseGiven: ({ world, host }) => world.api.overwriteLease({ holder: host.process?.identity ?? '' }),
  leaseTwice: ({ world, whileLasts }) => {
    whileLasts(
      () => world.api.tear(true),
      () => world.api.tear(false),
    );
  },
  leaseLate: ({ world, chance, whileLasts }) => {
    whileLasts(
      () => (world.api.lateMs = chance.between(100, 5000)),
      () => (world.api.lateMs = 0),
    );
  },
  diskFull: ({ host, whileLasts }) => {
    whileLasts(
      () => (host.disk.full = true),
      () => (host.disk.full = false),
    );
  },
  diskSlow: ({ host, chance, whileLasts }) => {
    whileLasts(
      () => (host.disk.slowness = chance.pick([10, 50, 200])),
      () => (host.disk.slowness = 1),
    );
  },
  syncFails: ({ host, whileLasts }) => {
    whileLasts(
      () => (host.disk.failsSyncs = true),
      () => (host.disk.failsSyncs = false),
    );
  },
  clockJump: ({ host, chance }) => {
    host.wallOffsetMs += Math.floor(chance.between(-4, 4) * 3_600_000);
  },
  operatorAway: ({ operator, whileLasts }) => {
    whileLasts(
      () => operator.kill(),
      () => operator.start(),
    );
  },
  operatorRestart: ({ operator }) => {
    operator.kill();
    operator.start();
  },
  ...volumeFaults,
  ...orderFaults,
  ...streamFaults,
};
