// What goes wrong in a simulation: one fault after the other while the phase of faults lasts, each for a time that was drawn, several at once.
// `heal` ends them all. Faults act on the world only; no part of a program is told.
import type { Host } from './host.ts';
import { noteDiskLost } from './stream-copy.ts';
import { streamFaults } from './stream-faults.ts';
import type { FaultKind } from './swarm.ts';
import { count, type World } from './world.ts';
import type { SimulatedOperator } from './simulated-operator.ts';

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
const maxDownMs = 2500;
const handOverLimitMs = 4000;

export class Faults {
  readonly #world: World;
  readonly #hosts: readonly Host[];
  readonly #operator: SimulatedOperator;
  #isOver = false;
  readonly #copies = new Map<Host, ReturnType<Host['disk']['snapshot']>>();

  constructor(world: World, hosts: readonly Host[], operator: SimulatedOperator) {
    this.#world = world;
    this.#hosts = hosts;
    this.#operator = operator;
  }

  begin(): void {
    if (this.#world.swarm.faults.length > 0) this.#next();
  }

  #next(): void {
    const { scheduler, chance, swarm } = this.#world;
    scheduler.later(chance.between(0, 2 * swarm.faultGapMs), 'fault', () => {
      if (this.#isOver) return;
      this.#next();
      const kind = chance.pick(swarm.faults);
      const host = this.#pickHost();
      if (swarm.keepsMajority && takesOut.has(kind) && !this.#canSpare(host)) return;
      count(this.#world, `fault: ${kind}`);
      this.#world.trace.say(scheduler.nowMs, '***', `${kind} ${host.pod}`);
      inject[kind](this.#act(host));
    });
  }

  #pickHost(): Host {
    const { chance, swarm } = this.#world;
    const hosts = this.#hosts;
    const leading = hosts.filter(({ process }) => process?.phase === 'Leading');
    return leading.length > 0 && chance.happens(swarm.leaderShare) ? chance.pick(leading) : chance.pick(hosts);
  }

  #canSpare(host: Host): boolean {
    const { swarm } = this.#world;
    const out = this.#hosts.filter((each) => each.kind === 'member' && (each === host || each.isOut));
    return 2 * out.length < swarm.members;
  }

  #act(host: Host): Act {
    const { scheduler, chance, swarm } = this.#world;
    const whileLasts = (begin: () => void, end: () => void): void => {
      begin();
      scheduler.later(chance.between(10, 2 * swarm.faultLastsMs), 'faultEnds', () => {
        if (!this.#isOver) end();
      });
    };
    return { world: this.#world, operator: this.#operator, hosts: this.#hosts, host, whileLasts, copies: this.#copies };
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
    this.#operator.start();
    for (const host of this.#hosts) host.heal();
  }
}

interface Act {
  readonly world: World;
  readonly operator: SimulatedOperator;
  readonly hosts: readonly Host[];
  readonly host: Host;
  /** The end comes after a drawn time, unless all faults end before. */
  readonly whileLasts: (begin: () => void, end: () => void) => void;
  readonly copies: Map<Host, ReturnType<Host['disk']['snapshot']>>;
}

const down = ({ world, host }: Act, keepsPower: boolean): void => {
  host.crash(keepsPower ? 'killed' : 'power lost', keepsPower);
  host.startAfter(world.chance.between(10, maxDownMs));
};

const others = ({ hosts, host }: Act): Host[] => hosts.filter((each) => each !== host);

const inject: { readonly [Kind in FaultKind]: (act: Act) => void } = {
  kill: (act) => down(act, true),
  powerLoss: (act) => down(act, false),
  allDown: (act) => {
    if (act.world.swarm.keepsMajority) return;
    const keepsPower = act.world.chance.happens(0.5);
    for (const host of act.hosts) down({ ...act, host }, keepsPower);
  },
  podDeleted: (act) => {
    down(act, true);
    act.host.replacePod();
  },
  stop: ({ world, host }) => {
    const { process } = host;
    if (process?.control === null || process === null) return;
    const end = (): void => {
      if (process.dead) return;
      host.crash('stopped', true);
      host.startAfter(world.chance.between(10, maxDownMs));
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
    const { world, host, whileLasts } = act;
    for (const other of world.chance.some(others(act), 0.5)) {
      const [from, to] = world.chance.happens(0.5) ? [host, other] : [other, host];
      whileLasts(
        () => world.network.cut(from.pod, to.pod),
        () => world.network.mend(from.pod, to.pod),
      );
    }
  },
  partition: ({ world, hosts, host, whileLasts }) => {
    const side = world.swarm.keepsMajority ? new Set([host]) : new Set(world.chance.some(hosts, 0.5));
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
  leaseGiven: ({ world, host }) => world.api.giveLease(host.process?.identity ?? ''),
  leaseTwice: ({ world, whileLasts }) => {
    whileLasts(
      () => world.api.tear(true),
      () => world.api.tear(false),
    );
  },
  leaseLate: ({ world, whileLasts }) => {
    whileLasts(
      () => (world.api.lateMs = world.chance.between(100, 5000)),
      () => (world.api.lateMs = 0),
    );
  },
  diskFull: ({ host, whileLasts }) => {
    whileLasts(
      () => (host.disk.full = true),
      () => (host.disk.full = false),
    );
  },
  diskSlow: ({ world, host, whileLasts }) => {
    whileLasts(
      () => (host.disk.slowness = world.chance.pick([10, 50, 200])),
      () => (host.disk.slowness = 1),
    );
  },
  syncFails: ({ host, whileLasts }) => {
    whileLasts(
      () => (host.disk.failsSyncs = true),
      () => (host.disk.failsSyncs = false),
    );
  },
  clockJump: ({ world, host }) => {
    host.wallOffsetMs += Math.floor(world.chance.between(-4, 4) * 3_600_000);
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
  diskReplaced: (act) => {
    const { world, host, copies } = act;
    const copy = copies.get(host);
    // The first time a copy is made; later it is put back, or an empty disk is there.
    if (copy === undefined) {
      copies.set(host, host.disk.snapshot());
      return;
    }
    host.crash('its disk is replaced', true);
    host.record.forget();
    noteDiskLost(world, host.pod);
    if (world.chance.happens(0.5)) host.disk.lose();
    else {
      host.disk.restore(copy);
      // Not older than the last report: such a copy cannot be told from the disk itself, and must not be put back (sidecar/DESIGN.md).
      const reported = world.api.memberLeases.get(host.pod)?.report.position;
      if (reported === undefined || reported.index === 0 || host.record.covers(reported.hash)) {
        host.record.forget();
        host.disk.lose();
      }
    }
    host.startAfter(world.chance.between(10, maxDownMs));
  },
  allVolumesLost: (act) => {
    const { world, hosts, copies } = act;
    if (world.swarm.keepsMajority) return;
    copies.clear();
    for (const host of hosts) {
      host.crash('its volume is lost', true);
      host.record.forget();
      host.disk.lose();
      noteDiskLost(world, host.pod);
      host.startAfter(world.chance.between(10, maxDownMs));
    }
  },
  ...streamFaults,
};
