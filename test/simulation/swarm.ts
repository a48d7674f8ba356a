// What one seed is a run of: which faults are on and how often they come, how large the cluster is, how fast its network and disks are.
// Drawn whole from the seed before anything happens. Most runs have few kinds of faults: rare meetings of two are then frequent somewhere.
import { coreLimits } from '../../sidecar/core/limits.ts';
import type { LeaseTimings } from '../../sidecar/core/lease.ts';
import type { Chance } from './chance.ts';
import { drawStreamWeather, type StreamWeather } from './stream-weather.ts';

export const faultKinds = [
  'kill',
  'powerLoss',
  'allDown',
  'podDeleted',
  'stop',
  'pause',
  'natsCut',
  'oneWayCut',
  'partition',
  'apiCut',
  'apiAway',
  'leaseGiven',
  'leaseTwice',
  'leaseLate',
  'streamAway',
  'streamLeaderless',
  'streamLeaderChange',
  'streamLosesEnd',
  'streamLost',
  'streamPurged',
  'connectionLost',
  'readerStall',
  'diskFull',
  'diskSlow',
  'syncFails',
  'clockJump',
  'operatorAway',
  'operatorRestart',
  'diskReplaced',
  'bitFlip',
  'volumesLost',
  'allLost',
  'membersChange',
  'rollout',
  'forceStart',
  'forcedAlone',
  'discardLocal',
  'statusConflict',
  'switchOver',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Each of them ends a leadership sooner or later: without one a run shows little. */
const unsettling: readonly FaultKind[] = ['kill', 'powerLoss', 'allDown', 'stop', 'pause', 'natsCut', 'partition', 'leaseGiven'];

/** Kinds that meet in the places where such programs break: two candidates at once, a promise that was not durable, a log that parted. */
const themes: readonly (readonly FaultKind[])[] = [
  ['leaseTwice', 'kill', 'oneWayCut'],
  ['leaseTwice', 'powerLoss', 'diskSlow'],
  ['leaseTwice', 'partition', 'pause'],
  ['leaseTwice', 'natsCut'],
  ['readerStall', 'streamLosesEnd', 'kill'],
  ['leaseTwice', 'pause'],
  ['leaseGiven', 'streamLosesEnd', 'readerStall'],
  ['leaseGiven', 'streamLosesEnd', 'partition', 'kill'],
  ['leaseGiven', 'partition', 'diskSlow', 'powerLoss'],
  ['streamLost', 'allDown', 'powerLoss', 'streamAway'],
  ['streamLosesEnd', 'syncFails', 'diskFull', 'leaseGiven'],
  ['diskSlow', 'kill', 'powerLoss', 'streamLosesEnd'],
  ['streamPurged', 'kill', 'pause', 'diskReplaced'],
  ['membersChange', 'kill', 'leaseGiven'],
  ['membersChange', 'diskReplaced', 'partition'],
  ['membersChange', 'operatorAway', 'streamLosesEnd', 'allDown'],
  ['rollout', 'membersChange'],
  ['rollout', 'kill'],
  ['forceStart', 'allDown', 'leaseGiven', 'streamLosesEnd'],
  ['discardLocal', 'forcedAlone', 'partition'],
  ['forcedAlone', 'kill', 'discardLocal'],
  ['switchOver', 'partition', 'pause'],
  ['switchOver', 'leaseTwice', 'kill'],
  ['bitFlip', 'kill', 'leaseGiven'],
  ['bitFlip', 'powerLoss', 'streamLosesEnd'],
  ['volumesLost', 'leaseGiven', 'diskReplaced'],
];

export interface Swarm {
  readonly members: number;
  readonly replicas: number;
  readonly durability: 'Quorum' | 'Leader';
  readonly divergedMember: 'Archive' | 'Block';
  readonly startupPolicy: 'All' | 'Quorum';
  /** `spec.election`. */
  readonly timings: LeaseTimings;
  readonly segmentBytes: number;
  readonly checkpointBytes: number;
  readonly upkeepMs: number;
  readonly retainedFrames: number;
  readonly orphanFrames: number;
  readonly tickMs: number;
  readonly network: {
    readonly minMs: number;
    readonly maxMs: number;
    readonly slowRate: number;
    readonly slowMs: number;
    readonly lossRate: number;
    readonly doubleRate: number;
  };
  readonly disk: { readonly operationMs: number; readonly syncMs: number };
  readonly stream: StreamWeather;
  /** Of the monotonic clocks: real milliseconds in a millisecond. */
  readonly drift: number;
  readonly clients: number;
  readonly thinkMs: number;
  readonly keys: number;
  readonly faults: readonly FaultKind[];
  /** Numbers of faults that do not happen. */
  readonly skipped: readonly number[];
  /** A person removes the volumes of members that `spec.members` no longer has. */
  readonly volumesGo: boolean;
  readonly faultGapMs: number;
  readonly faultLastsMs: number;
  /** How often a fault meets the leader, and not whoever. */
  readonly leaderShare: number;
  /** The faults wait for the first leader. */
  readonly calmStart: boolean;
  /** Faults that take a member out wait while no more than a majority is left. */
  readonly keepsMajority: boolean;
  readonly faultPhaseMs: number;
}

/** What a caller wants otherwise than the seed says. */
export interface SwarmChanges {
  readonly without?: readonly FaultKind[];
  /** In the place of what was drawn. */
  readonly faults?: readonly FaultKind[];
  readonly skipped?: readonly number[];
  readonly faultPhaseMs?: number;
  readonly clients?: number;
  readonly calmNetwork?: boolean;
  readonly divergedMember?: Swarm['divergedMember'];
}

/** The defaults, and those of who wants to wait less: then more happens in a run. */
const electionTimings: readonly LeaseTimings[] = [
  { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
  { leaseDurationMs: 2000, renewDeadlineMs: 1400, retryPeriodMs: 400 },
];

const rate = (chance: Chance, max: number): number => (chance.happens(0.5) ? 0 : chance.between(0, max));

export function drawSwarm(chance: Chance, changes: SwarmChanges): Swarm {
  const drawn: Swarm = {
    members: chance.pick([1, 3, 3, 3, 3, 3, 3, 5]),
    replicas: chance.pick([0, 0, 0, 1, 2]),
    durability: chance.happens(0.05) ? 'Leader' : 'Quorum',
    divergedMember: chance.happens(0.1) ? 'Block' : 'Archive',
    startupPolicy: chance.happens(0.5) ? 'All' : 'Quorum',
    timings: chance.pick(electionTimings),
    segmentBytes: chance.pick([1024, 4096, 65_536]),
    checkpointBytes: chance.pick([1000, 3000, 10_000, 1_000_000]),
    retainedFrames: chance.pick([0, 0, 3, 30]),
    upkeepMs: chance.pick([300, 1000, 5000]),
    orphanFrames: chance.pick([coreLimits.voterLagFrames, 4096]),
    tickMs: chance.pick([50, 100, 200]),
    network: {
      minMs: 0.2,
      maxMs: chance.pick([1, 5, 50]),
      slowRate: rate(chance, 0.05),
      slowMs: chance.pick([200, 1000, 5000]),
      lossRate: rate(chance, chance.pick([0.02, 0.3])),
      doubleRate: rate(chance, 0.05),
    },
    disk: { operationMs: 0.05, syncMs: chance.pick([0.5, 5, 20]) },
    stream: drawStreamWeather(chance),
    drift: rate(chance, 0.05),
    clients: chance.pick([1, 2, 3, 4]),
    thinkMs: chance.pick([30, 100, 300]),
    keys: chance.pick([1, 2, 4]),
    faults: drawFaults(chance),
    skipped: [],
    volumesGo: chance.happens(0.5),
    faultGapMs: chance.pick([200, 500, 1500]),
    faultLastsMs: chance.pick([300, 1500, 5000, 10_000]),
    leaderShare: chance.pick([0, 0.5, 0.8]),
    calmStart: chance.happens(0.75),
    keepsMajority: chance.happens(0.6),
    faultPhaseMs: chance.pick([500, 1000, 2000, 4000, 8000]),
  };
  return changed(drawn, changes);
}

function drawFaults(chance: Chance): FaultKind[] {
  const drawn = chance.happens(0.5)
    ? [...chance.pick(themes), ...chance.some(faultKinds, 0.1)]
    : [chance.pick(unsettling), chance.pick(unsettling), ...chance.some(faultKinds, chance.pick([0.1, 0.2, 0.4, 0.8]))];
  return [...new Set(drawn)];
}

function changed(
  drawn: Swarm,
  { without = [], faults: wanted, skipped = [], faultPhaseMs, clients, calmNetwork, divergedMember }: SwarmChanges,
): Swarm {
  const faults = (wanted ?? drawn.faults).filter((kind) => !without.includes(kind));
  const calm =
    calmNetwork === true
      ? {
          network: { ...drawn.network, slowRate: 0, lossRate: 0, doubleRate: 0 },
          stream: { ...drawn.stream, rates: {} },
        }
      : {};
  return {
    ...drawn,
    ...calm,
    faults,
    skipped,
    faultPhaseMs: faultPhaseMs ?? drawn.faultPhaseMs,
    clients: clients ?? drawn.clients,
    divergedMember: divergedMember ?? drawn.divergedMember,
  };
}
