// One run: a world from a seed, a phase with faults, then none, and the judgement. A pure function of the seed and of what is changed in its swarm.
// Runs one at a time in a thread: a rejected promise that nobody takes is a violation of the run that is under way.
import { drPodName, memberPodName } from '../../common/names.ts';
import { describe } from './acknowledged-log.ts';
import { ApiServer } from './api-server.ts';
import { Chance } from './chance.ts';
import { checkLinearizable } from '../lib/linearizability.ts';
import type { Attempt } from '../lib/client-history.ts';
import { Client } from './client.ts';
import { describeHosts, isEqual, isLed, isSettled, isStreamWhole, judgeStates } from './convergence.ts';
import { Faults } from './faults.ts';
import { Host } from './host.ts';
import { Network } from './network.ts';
import { Person } from './person.ts';
import { Oracles } from './oracles.ts';
import { Scheduler } from './scheduler.ts';
import { SimulatedOperator } from './simulated-operator.ts';
import { StatefulSet } from './stateful-set.ts';
import { StreamServers } from './stream-servers.ts';
import { drawSwarm, type Swarm, type SwarmChanges } from './swarm.ts';
import { Trace } from './trace.ts';
import { clusterName, complain, count, type Injection, type Violation, type World } from './world.ts';

/** From the end of the last fault until all is equal. */
const convergenceLimitMs = 90_000;
const firstLeaderLimitMs = 20_000;
const lookMs = 200;
const shownStackFrames = 10;
/** A run has some thousand. */
const maxSteps = 100_000;

export interface RunResult {
  readonly seed: number;
  readonly swarm: Swarm;
  readonly violation: Violation | null;
  readonly traceHash: string;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly acknowledgedUid: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly injections: readonly Injection[];
}

export async function simulate(
  seed: number,
  changes: SwarmChanges = {},
  write: ((line: string) => void) | null = null,
): Promise<RunResult> {
  // Refusals are answers here, thousands of them: where each was made is of use to a reader only.
  Error.stackTraceLimit = write === null ? 0 : shownStackFrames;
  const chance = new Chance(seed);
  const swarm = drawSwarm(chance, changes);
  const world = createWorld(seed, chance, swarm, new Trace(write));
  const onRejection = (error: unknown): void => {
    complain(world, 'defect', `nobody took the rejection ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
  };
  process.on('unhandledRejection', onRejection);
  try {
    await run(world);
    const { scheduler, trace, oracles, counts, injections, violation } = world;
    const { steps, nowMs } = scheduler;
    return {
      seed,
      swarm,
      violation,
      traceHash: trace.hash,
      steps,
      simulatedMs: nowMs,
      acknowledgedUid: oracles.acknowledged.uid,
      counts,
      injections,
    };
  } finally {
    process.off('unhandledRejection', onRejection);
  }
}

interface BuiltWorld extends World {
  readonly hosts: Host[];
}

/** The machine of a member's pod; it is there from the first time on that somebody asks for it. */
function hostOf(world: BuiltWorld, pod: string): Host {
  const known = world.hosts.find((host) => host.pod === pod);
  if (known !== undefined) return known;
  const host = new Host(world, pod, 'member', world.hosts.length);
  world.hosts.push(host);
  return host;
}

function createWorld(seed: number, chance: Chance, swarm: Swarm, trace: Trace): BuiltWorld {
  const scheduler = new Scheduler(chance, trace);
  const { members, replicas, durability } = swarm;
  const hosts: Host[] = [];
  const oracles = new Oracles({
    durability,
    complain: (invariant, message) => {
      complain(world, invariant, message);
    },
    nowMs: () => scheduler.nowMs,
  });
  const api = new ApiServer(chance, swarm.timings.leaseDurationMs, (mark) => {
    oracles.mark = mark;
  });
  const order = Array.from({ length: members }, (_, at) => memberPodName(clusterName, at));
  const network = new Network({ chance, scheduler, swarm });
  const streams = new StreamServers({
    chance,
    scheduler,
    network,
    weather: swarm.stream,
    onStored: (seq, bytes) => tellStored(world, seq, bytes),
  });
  const servers = { network, streams, api };
  const judged = { violation: null, counts: new Map<string, number>(), injections: [] };
  const world: BuiltWorld = { seed, chance, scheduler, trace, swarm, oracles, ...servers, hosts, order, members, ...judged };
  for (const pod of order) hosts.push(new Host(world, pod, 'member', hosts.length));
  for (let at = 0; at < replicas; at += 1) hosts.push(new Host(world, drPodName(clusterName, at), 'dr', hosts.length));
  return world;
}

function tellStored({ trace, scheduler, oracles }: World, seq: number, bytes: Uint8Array): void {
  if (!trace.isShown) return;
  const frames = oracles.book.framesIn(bytes).map(describe);
  trace.say(scheduler.nowMs, 'stream', `has at ${String(seq)} ${frames.length === 0 ? 'what nobody made' : frames.join(', ')}`);
}

async function run(world: BuiltWorld): Promise<void> {
  const { scheduler, swarm, chance } = world;
  const statefulSet = new StatefulSet(world, clusterName, (pod) => hostOf(world, pod));
  const operator = new SimulatedOperator(world, statefulSet);
  operator.start();
  for (const host of world.hosts) {
    host.replacePod();
    host.startAfter(chance.between(0, 500));
  }
  let asking = true;
  const clients = Array.from({ length: swarm.clients }, (_, at) => new Client(world, at, () => asking));
  const faults = new Faults(world, world.hosts, { operator, statefulSet });
  const person = new Person(world, world.hosts);
  let isOver = false;
  const lookForEnd = (sinceMs: number): void => {
    person.look(sinceMs);
    // A leader whose reader is behind learns from its next write that the stream has lost what it stored.
    const settled = isSettled(world);
    const atRest = settled && clients.every(({ pending }) => pending === 0) && isEqual(world);
    isOver = atRest && isStreamWhole(world);
    asking = !settled || (atRest && !isOver);
    if (isOver) return;
    if (scheduler.nowMs - sinceMs > convergenceLimitMs)
      complain(world, 'convergence', `${describeHosts(world)}; the stream ${isStreamWhole(world) ? 'has it all' : 'lacks frames'}`);
    else scheduler.later(lookMs, 'look', () => lookForEnd(sinceMs));
  };
  const begin = (): void => {
    faults.begin();
    scheduler.later(swarm.faultPhaseMs, 'heal', () => {
      world.trace.say(scheduler.nowMs, '***', 'all faults are over');
      faults.heal();
      lookForEnd(scheduler.nowMs);
    });
  };
  const beginWhenLed = (): void => {
    if (isLed(world) || scheduler.nowMs > firstLeaderLimitMs) begin();
    else scheduler.later(lookMs, 'look', beginWhenLed);
  };
  if (swarm.calmStart) beginWhenLed();
  else begin();
  await scheduler.run(() => {
    if (scheduler.steps > maxSteps) complain(world, 'I10', `more than ${String(maxSteps)} things happen: somebody asks without end`);
    return isOver || world.violation !== null;
  });
  if (world.violation === null) {
    judgeStates(world);
    world.oracles.conclude();
    // What was given up was acknowledged, and is not there: no single order fits that.
    if (!world.oracles.acknowledged.gaveUp)
      judgeHistory(
        world,
        clients.flatMap(({ history }) => history),
      );
  }
  for (const host of world.hosts) host.process?.end();
  world.trace.mixText(String(world.oracles.acknowledged.tip?.hash));
}

/** What the clients were told fits one order of single operations, whatever the log says. */
function judgeHistory(world: World, history: readonly Attempt[]): void {
  if (world.swarm.durability === 'Leader') return;
  const verdict = checkLinearizable(history);
  count(world, `history: ${verdict.kind}`);
  if (verdict.kind === 'violation') complain(world, 'linearizability', `${verdict.key}: ${verdict.detail}`);
}
