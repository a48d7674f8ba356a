// Once all faults are over: within a bounded time a leader opens, everybody follows, and all logs and states are equal.
// A member may stay blocked only for a reason that a person has to judge; everything else that does not come to rest is a violation.
import { isDeepStrictEqual } from 'node:util';
import type { MemberReport } from '../../common/report.ts';
import { streamHolds } from './stream-copy.ts';
import { complain, type SimulatedHost, type World } from './world.ts';

const allKeys = Number.MAX_SAFE_INTEGER;

type Standing = 'well' | 'blocked' | 'not yet';

function standingOf(world: World, { process }: SimulatedHost): Standing {
  const report = process?.control?.report();
  if (report === undefined) return 'not yet';
  if (report.phase === 'Leading' || report.phase === 'Following') return 'well';
  return report.phase === 'Blocked' && report.reason === 'Diverged' && world.swarm.divergedMember === 'Block' ? 'blocked' : 'not yet';
}

export const isLed = (world: World): boolean => world.hosts.some(({ process }) => process?.phase === 'Leading');

/** One leads, all others follow, and what a person asked for is done or refused. */
export function isSettled(world: World): boolean {
  if (world.api.switchoverTo !== null) return false;
  const leading = world.hosts.filter(({ process }) => process?.control?.report().phase === 'Leading');
  if (leading.length !== 1 || !world.hosts.every((host) => !host.wanted || standingOf(world, host) !== 'not yet')) return false;
  return world.swarm.durability === 'Leader' || areThePodsThatCount(world, leading[0]?.process?.control?.report());
}

/** The pods of `spec.members` are there and they alone count, but for those that are blocked: who did not count before waits for a person. */
function areThePodsThatCount(world: World, leader: MemberReport | undefined): boolean {
  const present = world.hosts.filter(({ kind, pod }) => kind === 'member' && world.api.pods.has(pod));
  const [counting, ...others] = leader?.configurations ?? [];
  const counted = (counting ?? []).map(({ pod }) => pod);
  if (others.length > 0 || present.length !== world.members) return false;
  const missing = present.filter(({ pod }) => !counted.includes(pod));
  return counted.every((pod) => present.some((host) => host.pod === pod)) && missing.every((host) => standingOf(world, host) === 'blocked');
}

const running = (world: World) =>
  world.hosts.flatMap((host) =>
    standingOf(world, host) === 'well' && host.process?.control ? [{ host, control: host.process.control }] : [],
  );

/** All have the same log, durable and applied to its end. */
export function isEqual(world: World): boolean {
  const ends = running(world).map(({ control }) => {
    const { position, acknowledged } = control.report();
    return position.index === acknowledged?.index ? `${position.hash} ${String(control.uid)}` : '';
  });
  return new Set(ends).size === 1 && ends[0] !== '';
}

/** The stream is a second copy of all that a leader's log still has: it was filled with what it had lost, and what was purged is in a snapshot. */
export function isStreamWhole(world: World): boolean {
  const { hosts, swarm } = world;
  // What a person purged is missed by nobody before the next claim.
  if (swarm.faults.includes('streamPurged')) return true;
  const leader = hosts.find(({ process }) => process?.phase === 'Leading');
  const { hash = '' } = leader?.process?.control?.report().position ?? {};
  return streamHolds(world, hash, (each) => leader?.record.holds(each) !== true);
}

/** The states are what the acknowledged log makes. */
export function judgeStates(world: World): void {
  if (world.swarm.durability === 'Leader') return;
  for (const { host, control } of running(world)) {
    world.oracles.shown(host.pod, control.uid);
    const state = control.list('', allKeys, '').map(({ key, value, uid }) => [key, { uid, value }] as const);
    if (!isDeepStrictEqual(new Map(state), world.oracles.acknowledged.entries()))
      complain(world, 'I1', `the state of ${host.pod} is not what the log says: ${JSON.stringify(state)}`);
  }
}

export function describeHosts(world: World): string {
  return world.hosts
    .map(({ pod, process }) => {
      const report = process?.control?.report();
      if (report === undefined) return `${pod} down`;
      const { phase, reason = '', position, promise } = report;
      return `${pod} ${phase}${reason === '' ? '' : `(${reason})`} log ${String(position.index)} of ${String(position.epoch.number)}, promised ${String(promise.number)}`;
    })
    .join('; ');
}
