// One member as a state machine: `step(member, input, now) → effects`. Pure but for the member that it changes in place.
// The same code runs in production and in simulation; order of effects is the order in which they must begin.
import { compareEpochs, sameEpoch, type Position } from '../../common/position.ts';
import { campaign, onCandidatePublished, onLastSeq, onVoteAnswer, progress, stepDown, tickCandidate } from './election.ts';
import { onFillFloor, onLoaded } from './filling.ts';
import type { Effect, Input, Instant } from './io.ts';
import { discardLocal, judge, onForeign, onLocated } from './joining.ts';
import { advance, onPublished, onSubmit, tickLeader } from './leadership.ts';
import { onRead } from './reads.ts';
import type { Message, MessageOf } from './message.ts';
import { assemble, beginAnewWhenGivenUp, onFetched, onStreamMessage, onStreamRestarted, seek, startReading } from './reader.ts';
import { coreLimits } from './limits.ts';
import { checkpointWhenDue, onCheckpointed } from './checkpointing.ts';
import { onPurged, onReplicaReport } from './purging.ts';
import { promiseGeneration } from './generation.ts';
import { onSnapshotFound, onSnapshotStored, storeSnapshotWhenDue } from './snapshot-storing.ts';
import { fetchSnapshotWhenNeeded, onSnapshotFetched, onSnapshotOffered } from './snapshot-transfer.ts';
import { onRecorded, onReported } from './own-disk.ts';
import { isKnown } from './quorum.ts';
import { onVoteRequest } from './vote.ts';
import { beginSwitchOver, beginToStop, handOver, switchOver } from './hand-over.ts';
import { ownReport } from './eligibility.ts';
import { acknowledge, clusterIdOf, hearsLeader, inRound, isElectable, note, sawEpoch, type Member } from './state.ts';

export function step(m: Member, input: Input, now: Instant): Effect[] {
  m.now = now;
  m.effects = [];
  if (m.reloading) refuseCaller(m, input);
  else {
    dispatch(m, input);
    yieldToHigher(m);
    progress(m);
    settle(m);
    checkpointWhenDue(m);
    storeSnapshotWhenDue(m);
  }
  return m.effects;
}

/** Whoever asks while the journal is read again is answered all the same; what else comes is asked for again by the member that follows this one. */
function refuseCaller(m: Member, input: Input): void {
  const result = { kind: 'refused', code: 'no_leader', detail: 'this member reloads its journal' } as const;
  if (input.kind === 'submit') m.effects.push({ kind: 'answer', id: input.id, result });
  if (input.kind === 'read') m.effects.push({ kind: 'answerRead', id: input.id, result });
  if (input.kind === 'handOver') beginToStop(m);
  if (input.kind === 'order') m.order = input.members;
  if (input.kind === 'connection') m.connectionProblem = input.problem;
  if (input.kind === 'lease') m.lease.observe(input.record, m.now.nowMs);
}

function dispatch(m: Member, input: Input): void {
  switch (input.kind) {
    case 'tick':
      return tick(m);
    case 'order':
      m.order = input.members;
      return;
    case 'connection':
      m.connectionProblem = input.problem;
      return;
    case 'stream':
      m.streamProblem = input.problem;
      return;
    case 'lease':
      return onLease(m, input.record);
    case 'recorded':
      return onRecorded(m, input.record);
    case 'reported':
      return onReported(m, input.session);
    case 'discardLocal':
      return discardLocal(m);
    case 'leaseWritten':
      return m.lease.written(input.result);
    case 'persisted':
      return onPersisted(m, input.token);
    case 'streamMessage':
      return onStreamMessage(m, input.seq, input.bytes);
    case 'streamRestarted':
      onStreamRestarted(m);
      // A leader whose stream lost frames fills it again by a new claim.
      return stepDown(m, 'the stream lost messages', true);
    case 'streamPurged':
      // Also when nothing is left: the next message stands at `firstSeq`. What is lacking is told by the chain.
      m.reader.seq = Math.max(m.reader.seq, input.firstSeq - 1);
      return;
    case 'lastSeq':
      return onLastSeq(m, input.token, input.seq);
    case 'published':
      return onPublishedFrame(m, input.token, input.seq);
    case 'fetched':
      return onFetched(m, input.token, input.frames);
    case 'loaded':
      return onLoaded(m, input.token, input.frames);
    case 'located':
      return onLocated(m, input.token, input.end);
    case 'checkpointed':
      return onCheckpointed(m, input.token, input.done);
    case 'snapshotFetched':
      return onSnapshotFetched(m, input.token, input.received);
    case 'snapshotFound':
      onSnapshotOffered(m, input.token, input.found);
      onFillFloor(m, input.token, input.found);
      return onSnapshotFound(m, input.token, input.found);
    case 'snapshotStored':
      return onSnapshotStored(m, input.token, input.origin);
    case 'purged':
      return onPurged(m, input.token, input.done);
    case 'message':
      return onMessage(m, input.message);
    case 'submit':
      return onSubmit(m, input.id, input.change, input.bytes);
    case 'read':
      return onRead(m, input.id);
    case 'handOver':
      beginToStop(m);
      return handOver(m);
    case 'switchOver':
      return beginSwitchOver(m, input.to, input.request);
  }
}

/** What follows from any input: reading begins when this member runs, and a follower that has caught up is in sync. */
function settle(m: Member): void {
  if (m.join.kind === 'undecided' && (inRound(m) || m.role.kind !== 'follower')) m.join = { kind: 'running' };
  if (m.join.kind === 'running' && m.connectionProblem === null) startReading(m);
  if (m.join.kind !== 'running' || m.leader?.opened !== true) return;
  const { acknowledged } = m.leader;
  if (acknowledged.index === 0 || !keepsUp(m, acknowledged) || m.synced) return;
  m.synced = true;
  note(m, 'info', 'follows in sync', { leader: m.leader.pod, uid: m.store.uid });
}

/** Has all that it knows to be acknowledged; or, as under load something is always on its way, came in time to where all ended a moment ago. */
function keepsUp(m: Member, acknowledged: Position): boolean {
  const { behind } = m;
  const { index } = acknowledged;
  const has = m.store.index >= index && m.log.holds(acknowledged);
  if (has) m.behind = null;
  else if (behind === null || m.store.index >= behind.index) {
    const late = behind !== null && m.now.nowMs - behind.sinceMs > coreLimits.behindToleranceMs;
    m.behind = { index, sinceMs: m.now.nowMs, late };
    return behind !== null && !late;
  }
  return has;
}

function tick(m: Member): void {
  const { nowMs } = m.now;
  if (m.role.kind === 'leader') {
    const reason = tickLeader(m, m.role);
    if (reason === null) advance(m, m.role);
    else stepDown(m, reason);
  } else if (m.role.kind === 'candidate') tickCandidate(m, m.role);
  if (m.leader !== null && nowMs - m.leader.heardAtMs > m.config.timings.leaseDurationMs) loseLeader(m);
  if (!hearsLeader(m) && nowMs - m.reportedAtMs >= coreLimits.reportMs && isElectable(m)) {
    m.reportedAtMs = nowMs;
    m.effects.push({ kind: 'send', to: '*', message: ownReport(m, 0) });
  }
  if (m.stopping !== null) handOver(m);
  else if (isElectable(m)) {
    if (m.role.kind === 'leader') switchOver(m, m.role);
    campaign(m);
  }
  assemble(m);
  if (m.join.kind !== 'running' && m.leader !== null) judge(m);
  beginAnewWhenGivenUp(m);
  fetchSnapshotWhenNeeded(m);
  catchUpFromLeader(m);
}

/** Whom a leader had blocked waits for the next start round with all others when that leader is gone, or was but a late word of one. */
function loseLeader(m: Member): void {
  m.leader = null;
  if (m.join.kind === 'blocked') m.join = { kind: 'undecided' };
}

/** The stream delivered nothing while the leader, or a candidate that has claimed, went on: take its log over from itself. */
function catchUpFromLeader(m: Member): void {
  const { leader, reader } = m;
  if (m.join.kind !== 'running' || leader === null || m.role.kind !== 'follower' || reader.target !== null) return;
  if (m.log.holds(leader.position) || m.now.nowMs - reader.readAtMs < coreLimits.stalledReaderMs) return;
  if (compareEpochs(leader.epoch, m.promise) < 0) return;
  reader.readAtMs = m.now.nowMs;
  seek(m, leader.position);
}

function onLease(m: Member, record: Member['lease']['record']): void {
  const holder = m.lease.record?.holder;
  m.lease.observe(record, m.now.nowMs);
  promiseGeneration(m);
  // What was another's before is not lost now: after a hand-over the former leader may have ended before it gave the Lease away.
  const lost = m.lease.heldByOther && m.lease.record?.holder !== holder;
  if (m.role.kind === 'leader' && lost && m.stopping === null) stepDown(m, 'the Lease is held by another');
}

function onPersisted(m: Member, token: number): void {
  const write = m.persisting.get(token);
  if (write === undefined) return;
  m.persisting.delete(token);
  m.durable = { promise: write.promise, position: write.position };
  write.then?.();
  if (m.persisting.size === 0) assemble(m);
  if (m.role.kind === 'leader') advance(m, m.role);
  else if (m.leader !== null) m.effects.push({ kind: 'send', to: m.leader.pod, message: ownReport(m, 0) });
}

function onPublishedFrame(m: Member, token: number, seq: number | null): void {
  if (m.role.kind === 'candidate') onCandidatePublished(m, m.role, token, seq);
  else if (m.role.kind === 'leader' && !onPublished(m, m.role, token, seq)) stepDown(m, 'another message stands in the stream', true);
}

/** A frame of a higher epoch than the own is in the log now: this member does not lead (I3). */
function yieldToHigher(m: Member): void {
  if (m.role.kind === 'leader' && !sameEpoch(m.promise, m.role.epoch)) stepDown(m, 'a higher epoch is in the log');
  if (m.role.kind === 'candidate' && m.role.stage.kind !== 'reading' && !sameEpoch(m.promise, m.role.epoch))
    stepDown(m, 'a higher epoch is in the log');
}

function onMessage(m: Member, message: Message): void {
  const own = clusterIdOf(m);
  if (own !== '' && message.clusterId !== '' && message.clusterId !== own) return onForeign(m, message);
  switch (message.kind) {
    case 'voteRequest':
      return onVoteRequest(m, message);
    case 'voteAnswer':
      return onVoteAnswer(m, message);
    case 'heartbeat':
      return onHeartbeat(m, message);
    case 'report':
      return onReport(m, message);
    case 'handOver':
      if (message.to !== m.config.pod || compareEpochs(message.epoch, m.promise) < 0) return;
      m.grantedUntilMs = m.now.nowMs + coreLimits.handOverTimeoutMs;
      m.campaignAfterMs = 0;
      m.leader = null;
      return campaign(m);
  }
}

function onReport(m: Member, report: MessageOf<'report'>): void {
  sawEpoch(m, report.promise);
  if (report.from === m.config.pod) return;
  if (!isKnown(m, report.from)) return onReplicaReport(m, report);
  const known = m.peers.get(report.from)?.report;
  // Rounds are counted anew in each leadership: what confirmed one of an earlier confirms nothing now (I9).
  const same = known?.identity === report.identity && sameEpoch(known.promise, report.promise);
  const round = same ? Math.max(known.round, report.round) : report.round;
  m.peers.set(report.from, { report: { ...report, round }, heardAtMs: m.now.nowMs });
  if (m.role.kind !== 'leader') return;
  if (compareEpochs(report.promise, m.role.epoch) > 0) stepDown(m, `${report.from} promised a higher epoch`, true);
  else advance(m, m.role);
}

function onHeartbeat(m: Member, beat: MessageOf<'heartbeat'>): void {
  sawEpoch(m, beat.epoch);
  const order = compareEpochs(beat.epoch, m.promise);
  if (order < 0) {
    // An old leader: it hears of the higher promise and steps down.
    m.effects.push({ kind: 'send', to: beat.from, message: ownReport(m, 0) });
    return;
  }
  if (!isKnown(m, beat.from)) return;
  if (m.role.kind !== 'follower') {
    if (compareEpochs(beat.epoch, m.role.epoch) <= 0) return;
    stepDown(m, `${beat.from} leads in a higher epoch`);
  }
  const { pod: known, opened } = m.leader ?? { pod: null, opened: false };
  if (beat.opened && (known !== beat.from || !opened)) note(m, 'info', 'hears a leader', { leader: beat.from, epoch: beat.epoch.number });
  const { clusterId, epoch, position, acknowledged, baseIndex } = beat;
  m.leader = { pod: beat.from, clusterId, epoch, opened: beat.opened, position, acknowledged, baseIndex, heardAtMs: m.now.nowMs };
  if (beat.opened && m.join.kind === 'running') {
    m.followed = true;
    m.refusal = null;
    if (m.log.holds(acknowledged)) acknowledge(m, acknowledged.index);
  }
  if (m.join.kind !== 'running') judge(m);
  m.effects.push({ kind: 'send', to: beat.from, message: ownReport(m, beat.round) });
}
