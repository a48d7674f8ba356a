// The state of one member, and the few operations on it that every part of the core shares.
// It is changed in place, by `step` alone: the state may hold a million keys. What it wants done is pushed to `effects`.
import { compareEpochs, comparePositions, type Epoch, type Position } from '../../common/position.ts';
import { leaseIdentity } from '../../common/report.ts';
import type { Frame, Sha256 } from './frame.ts';
import type { Effect, Instant, PersistStep } from './io.ts';
import type { BlockedReason } from './join.ts';
import { LeaseView, type LeaseTimings } from './lease.ts';
import { Log } from './log.ts';
import type { MessageOf } from './message.ts';
import { coreLimits } from './limits.ts';
import type { HardState } from './hard-state.ts';
import type { Role } from './role.ts';
import type { EpochSpan, SnapshotHead } from './snapshot.ts';
import { Store } from './store.ts';

export interface MemberConfig {
  readonly pod: string;
  readonly podUid: string;
  readonly session: string;
  readonly kind: 'member' | 'dr';
  readonly durability: 'Quorum' | 'Leader';
  readonly divergedMember: 'Archive' | 'Block';
  readonly timings: LeaseTimings;
  /** Bytes of frames after which the next checkpoint is made. */
  readonly checkpointBytes: number;
  /** Between two looks of a leader at what NATS keeps. */
  readonly upkeepMs: number;
  /** Frames that the stream keeps below what all who read it have. */
  readonly retainedFrames: number;
  /** Frames that are no part of the log yet, held in memory; no fewer than `voterLagFrames`. */
  readonly orphanFrames: number;
  readonly sha256: Sha256;
}

export type Join =
  | { readonly kind: 'undecided' }
  | { readonly kind: 'running' }
  | { readonly kind: 'blocked'; readonly reason: BlockedReason; readonly message: string };

/** The leader, or the candidate whose claim waits for its majority, that this member heard of last. */
export interface KnownLeader {
  readonly pod: string;
  readonly clusterId: string;
  readonly epoch: Epoch;
  readonly opened: boolean;
  readonly position: Position;
  readonly acknowledged: Position;
  /** Its frames up to this one are compacted. */
  readonly baseIndex: number;
  readonly heardAtMs: number;
}

export interface Peer {
  readonly report: MessageOf<'report'>;
  readonly heardAtMs: number;
}

export interface Reader {
  active: boolean;
  /** Sequence of the last message that was read. */
  seq: number;
  readAtMs: number;
  readonly orphans: Map<string, { readonly frame: Frame; seq: number }>;
  orphanBytes: number;
  /** A log end that this member wants to take over and lacks frames of. */
  target: Position | null;
  fetch: { readonly token: number; readonly peer: string; readonly fromIndex: number } | null;
  /** Where the next fetch begins, and from which of the peers. */
  fetchCursor: number;
  fetchTries: number;
  fetchAtMs: number;
  /** Such an end of which nobody could supply all frames, when it was given up. */
  unsupplied: Position | null;
  /** The log that is wanted parts from the own one below its base. */
  partedBelowBase: boolean;
}

export interface Member {
  readonly config: MemberConfig;
  readonly identity: string;
  now: Instant;
  effects: Effect[];
  lastToken: number;
  readonly log: Log;
  readonly store: Store;
  /** Frames of the log that are not applied yet, in order. */
  uncommitted: Frame[];
  /** Highest index of the log that is known to be acknowledged. */
  acknowledgedIndex: number;
  promise: Epoch;
  /** What was last written of it; its promise may be behind, since frames raise it too. */
  hardState: HardState;
  /** Whether the own disk is known to be the one that took part before (ADR 10). */
  disk: 'unverified' | 'writing' | 'registering' | 'registered';
  durable: { promise: Epoch; position: Position };
  /** `durable` as this process found it. */
  opened: { readonly promise: Epoch; readonly position: Position };
  readonly persisting: Map<number, { readonly promise: Epoch; readonly position: Position; readonly then?: () => void }>;
  /** Highest epoch seen anywhere: the next claim goes above it. */
  highestEpoch: Epoch;
  readonly lease: LeaseView;
  /** Electable members in the order of failover.csv. */
  order: readonly string[];
  /** Why NATS or the stream cannot be used now, as their adapters say it. */
  connectionProblem: string | null;
  streamProblem: string | null;
  readonly reader: Reader;
  role: Role;
  join: Join;
  locating: { readonly token: number; readonly atMs: number } | null;
  leader: KnownLeader | null;
  /** Followed, or was, a leader that opened, since this process started. */
  followed: boolean;
  /** Caught up with a leader since this process started: the start gate (I7). */
  synced: boolean;
  /** Since when it has lacked frame `index`, which is acknowledged, and whether what it lacked before came late; `null` when it has all. */
  behind: { readonly index: number; readonly sinceMs: number; readonly late: boolean } | null;
  readonly peers: Map<string, Peer>;
  /** Who reads the stream and counts for nothing. */
  readonly replicas: Map<string, Peer>;
  campaignAfterMs: number;
  /** Leadership was handed to this member: it tries until then, whatever the Lease says. */
  grantedUntilMs: number;
  reportedAtMs: number;
  /** `heir` is the identity that the Lease goes to; `released` when nothing is left to hand over. */
  stopping: { readonly sinceMs: number; heir: string; released: boolean } | null;
  /** The last switch-over that this process was asked for; it is told again and again. */
  switchOverRequest: string;
  /** Index of the newest one, bytes applied since, the one that is being made, and when the next may be tried. */
  readonly checkpoint: { index: number; bytes: number; token: number | null; notBeforeMs: number };
  /** What the leader does to what NATS keeps, one thing at a time, and when the next may begin. */
  readonly upkeep: { token: number | null; notBeforeMs: number; purgedBeforeSeq: number };
  /** The snapshot that is being taken over; whether a member could not give one just now, and when NATS may be asked. */
  readonly transfer: { token: number | null; notBeforeMs: number; memberFailed: boolean; natsAfterMs: number };
  refusal: { readonly reason: string; readonly message: string } | null;
  reloading: boolean;
}

/** What the journal holds before its frames: where the log begins, and the newest checkpoint, whose records go into the store. */
export interface Foundation {
  readonly base: { readonly position: Position; readonly history: readonly EpochSpan[] };
  readonly checkpoint: SnapshotHead | null;
}

/** A member with an empty store. The records of the checkpoint go into that, then `recover` adds the frames of the log. */
export function createMember(config: MemberConfig, hardState: HardState, { base, checkpoint }: Foundation): Member {
  // What a frame promised when it was appended, the checkpoint that holds it promises still.
  const reached = checkpoint?.position.epoch ?? hardState.promise;
  const promise = compareEpochs(reached, hardState.promise) >= 0 ? reached : hardState.promise;
  const durable = { promise, position: base.position };
  const identity = leaseIdentity(config.pod, config.podUid, config.session);
  return {
    config,
    identity,
    now: { nowMs: 0, wallMs: 0, nonce: '' },
    effects: [],
    lastToken: 0,
    log: new Log({ ...base, clusterId: checkpoint?.clusterId ?? null, configuration: checkpoint?.configuration ?? null }),
    store: new Store(checkpoint?.position),
    uncommitted: [],
    acknowledgedIndex: checkpoint?.position.index ?? 0,
    promise,
    hardState,
    // A DR replica counts for nothing (I4): nobody asks which disk it has.
    disk: config.kind === 'dr' ? 'registered' : 'unverified',
    durable,
    opened: durable,
    persisting: new Map(),
    highestEpoch: promise,
    lease: new LeaseView(identity, config.timings),
    order: [],
    connectionProblem: 'NATS has not been reached yet',
    streamProblem: null,
    reader: {
      active: false,
      seq: 0,
      readAtMs: 0,
      orphans: new Map(),
      orphanBytes: 0,
      target: null,
      fetch: null,
      fetchCursor: 0,
      fetchTries: 0,
      fetchAtMs: Number.NEGATIVE_INFINITY,
      unsupplied: null,
      partedBelowBase: false,
    },
    role: { kind: 'follower' },
    join: { kind: 'undecided' },
    locating: null,
    leader: null,
    followed: false,
    synced: false,
    behind: null,
    peers: new Map(),
    replicas: new Map(),
    campaignAfterMs: 0,
    grantedUntilMs: Number.NEGATIVE_INFINITY,
    reportedAtMs: Number.NEGATIVE_INFINITY,
    stopping: null,
    switchOverRequest: '',
    checkpoint: { index: checkpoint?.position.index ?? 0, bytes: 0, token: null, notBeforeMs: Number.NEGATIVE_INFINITY },
    upkeep: { token: null, notBeforeMs: Number.POSITIVE_INFINITY, purgedBeforeSeq: 0 },
    transfer: { token: null, notBeforeMs: Number.NEGATIVE_INFINITY, memberFailed: false, natsAfterMs: Number.NEGATIVE_INFINITY },
    refusal: null,
    reloading: false,
  };
}

/** The process goes on with a member that was built anew from the journal: it keeps its place in the round, what it had joined, which disk it has, and what it knew to be acknowledged. */
export function carryOver(m: Member, before: Member): void {
  m.lease.observe(before.lease.record, before.now.nowMs);
  m.join = before.join;
  m.followed = before.followed;
  m.synced = before.synced;
  m.stopping = before.stopping;
  m.switchOverRequest = before.switchOverRequest;
  m.opened = before.opened;
  m.order = before.order;
  m.connectionProblem = before.connectionProblem;
  if (before.disk === 'registered') m.disk = 'registered';
  // Its frames tell it but for the last of them, and what could be read once stays readable. Not so when the log was parted from, as after a forced start.
  const known = Math.min(before.acknowledgedIndex, m.log.length);
  if (m.log.hashAt(known) === before.log.hashAt(known)) acknowledge(m, known);
}

/** Adds the next frame of the journal, before the first input. Whether the stream has it, reading tells. */
export function recover(m: Member, frame: Frame): void {
  m.log.append(frame, 0);
  if (frame.index > m.store.index) m.uncommitted.push(frame);
  // At start-up the last frame's epoch and nonce override a promise of the same number: its append raised the promise in the same write.
  if (compareEpochs(frame.epoch, m.promise) >= 0) m.promise = frame.epoch;
  sawEpoch(m, frame.epoch);
  m.durable = { promise: m.promise, position: m.log.position() };
  m.opened = m.durable;
  acknowledge(m, frame.acknowledgedIndex);
}

export const isElectable = (m: Member): boolean => m.config.kind === 'member';
export const newToken = (m: Member): number => (m.lastToken += 1);

export function note(m: Member, level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown> = {}): void {
  m.effects.push({ kind: 'note', level, message, fields });
}

export function sawEpoch(m: Member, epoch: Epoch): void {
  if (compareEpochs(epoch, m.highestEpoch) > 0) m.highestEpoch = epoch;
}

/** Writes the promise, and the identity of the disk, as they stand; `then` runs when it is durable. */
export function persistHardState(m: Member, then?: () => void): number {
  m.hardState = { ...m.hardState, promise: m.promise };
  return persist(m, { hardState: m.hardState }, then);
}

/** Writes to the journal what the log and the promise already say; `then` runs when it is durable. */
export function persist(m: Member, step: PersistStep, then?: () => void): number {
  const token = newToken(m);
  m.persisting.set(token, { promise: m.promise, position: m.log.position(), ...(then === undefined ? {} : { then }) });
  m.effects.push({ kind: 'persist', token, step });
  return token;
}

/** Frames up to `index` of the own log are acknowledged: they become part of the state. */
export function acknowledge(m: Member, index: number): void {
  const reached = Math.min(index, m.log.length);
  if (reached > m.acknowledgedIndex) m.acknowledgedIndex = reached;
  let count = 0;
  for (const frame of m.uncommitted) {
    if (frame.index > m.acknowledgedIndex) break;
    m.store.apply(frame);
    m.checkpoint.bytes += frame.bytes.length;
    m.effects.push({ kind: 'applied', frame });
    count += 1;
  }
  if (count > 0) m.uncommitted.splice(0, count);
}

/** Counted in the round that is open: by its session, so that a round never outlives those who were in it. */
export function inRound(m: Member): boolean {
  const round = m.lease.record?.round;
  return round?.counted.some(({ pod, session }) => pod === m.config.pod && session === m.config.session) ?? false;
}

/** An open leader, this member itself included, was heard of lately. */
export function hearsLeader(m: Member, silenceMs: number = coreLimits.leaderSilenceMs): boolean {
  return m.role.kind === 'leader' || (m.leader !== null && m.leader.opened && m.now.nowMs - m.leader.heardAtMs < silenceMs);
}

/** Of the own log, else of the round, else of the leader; `''` when none is known yet. */
export const clusterIdOf = (m: Member): string => m.log.clusterId ?? m.lease.record?.round?.clusterId ?? m.leader?.clusterId ?? '';

export const isMoreAdvanced = (a: Position, b: Position): boolean => comparePositions(a, b) > 0;
