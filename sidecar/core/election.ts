// Winning leadership: read to the end, promise, votes, claim, fill, confirm (design: "Leading"). Safety rests on the votes alone (I3):
// the Lease only says who should try. What a leader does is in `leadership.ts`.
import { compareEpochs, sameEpoch } from '../../common/position.ts';
import { fill, onFilled } from './filling.ts';
import { encodeFrame } from './frame.ts';
import { releaseLease, turnMs } from './turn.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { dismiss, open } from './leadership.ts';
import type { MessageOf } from './message.ts';
import { readAgain, startReading, seek, takeOverBest } from './reader.ts';
import { belowMark, seekBetterPeer } from './high-water-mark.ts';
import { coreLimits } from './limits.ts';
import { isPromisedByAll, isToRecover, unvotedRound } from './eligibility.ts';
import { snapshotGiver } from './snapshot-transfer.ts';
import { isKnown, isQuorum, reachedByQuorum, standingsUnder } from './quorum.ts';
import type { Candidate } from './role.ts';
import { isEligible } from './eligibility.ts';
import { clusterIdOf, hearsLeader, isMoreAdvanced, newToken, note, persist, persistHardState, sawEpoch, type Member } from './state.ts';

/** Becomes a follower. `keepLease` when this member tries again at once. */
export function stepDown(m: Member, reason: string, keepLease = false): void {
  const { role } = m;
  if (role.kind === 'follower') return;
  if (role.kind === 'leader') dismiss(m, role);
  else if (role.stage.kind === 'claiming' || role.stage.kind === 'filling') m.effects.push({ kind: 'abortPublish' });
  note(m, role.kind === 'leader' ? 'warn' : 'info', role.kind === 'leader' ? 'leads no more' : 'gives its candidacy up', {
    reason,
    epoch: role.epoch.number,
    uid: m.log.position().uid,
  });
  m.role = { kind: 'follower' };
  if (!keepLease) {
    m.campaignAfterMs = m.now.nowMs + coreLimits.candidacyPauseMs;
    m.grantedUntilMs = Number.NEGATIVE_INFINITY;
    releaseLease(m, '');
  }
}

/** Holds the Lease while it leads or tries to, takes it when it is free and this member's turn has come, and starts a candidacy. */
export function campaign(m: Member): void {
  const { nowMs } = m.now;
  if (m.role.kind !== 'follower') {
    if (m.lease.heldByOther && !m.lease.isFree(nowMs)) return;
    const version = m.lease.versionToWrite(nowMs, false);
    if (version !== null) m.effects.push({ kind: 'writeLease', holder: m.identity, version });
    return;
  }
  const pauses = nowMs < m.campaignAfterMs;
  if (m.lease.isAbandoned || (m.lease.mine && (pauses || !isEligible(m)))) return releaseLease(m, '');
  if (!isEligible(m) || m.connectionProblem !== null || m.reloading || pauses) return;
  if (nowMs < m.grantedUntilMs) return startCandidacy(m);
  if (hearsLeader(m)) return;
  if (m.lease.mine) return startCandidacy(m);
  if (m.lease.freeForMs(nowMs) < turnMs(m) || !m.lease.isFree(nowMs)) return;
  const version = m.lease.versionToWrite(nowMs, false);
  if (version !== null) m.effects.push({ kind: 'writeLease', holder: m.identity, version });
}

function startCandidacy(m: Member): void {
  note(m, 'info', 'stands for election', { uid: m.log.position().uid });
  // What was below the promise may be followed now.
  if (isToRecover(m)) readAgain(m);
  else startReading(m);
  m.role = {
    kind: 'candidate',
    epoch: m.promise,
    stage: reading(m),
    voteRounds: 0,
    claimIndex: 0,
    heartbeatAtMs: Number.NEGATIVE_INFINITY,
  };
}

function reading(m: Member): Candidate['stage'] {
  const token = newToken(m);
  m.effects.push({ kind: 'askLastSeq', token });
  return { kind: 'reading', sinceMs: m.now.nowMs, token, endSeq: null };
}

export function onLastSeq(m: Member, token: number, seq: number | null): void {
  const { role } = m;
  if (role.kind !== 'candidate' || role.stage.kind !== 'reading' || role.stage.token !== token) return;
  if (seq === null) {
    role.stage.token = 0;
    return;
  }
  if (seq < m.reader.seq) {
    // The stream lost what this member stored there and never read back, or a stale server answers: the reader has to look.
    role.stage.token = 0;
    if (m.now.nowMs - m.reader.readAtMs >= coreLimits.lookAgainMs) readAgain(m);
    return;
  }
  role.stage.endSeq = seq;
  progress(m);
}

/** Moves a candidacy on as far as it can go now. Called after every input. */
export function progress(m: Member): void {
  const { role } = m;
  if (role.kind !== 'candidate' || m.reloading) return;
  const { stage } = role;
  if (stage.kind === 'reading') finishReading(m, role, stage);
  else if (stage.kind === 'voting' && isQuorum(m, stage.votes)) claim(m, role);
  else if (stage.kind === 'confirming') confirm(m, role);
}

/** 1. The stream is read to its end, the most advanced log that can be had whole is taken over, and all of it is durable. */
function finishReading(m: Member, candidate: Candidate, stage: Extract<Candidate['stage'], { kind: 'reading' }>): void {
  const unvoted = unvotedRound(m);
  if (unvoted?.claim === 'forced') m.reader.target = null;
  if (stage.endSeq === null || m.reader.seq < stage.endSeq || m.reader.target !== null) return;
  if (unvoted?.claim === 'recovery' && !isPromisedByAll(m, unvoted)) return;
  // Who was told to lead with its own log takes nothing over (K10).
  if (unvoted?.claim !== 'forced') takeOverBest(m);
  if (m.persisting.size > 0 || m.reloading || (unvoted?.claim === 'recovery' && snapshotGiver(m) !== null)) return;
  if (m.refusal?.reason === 'ForeignStream') return stepDown(m, m.refusal.message);
  if (belowMark(m) !== null && seekBetterPeer(m)) return;
  if (refuseBelowMark(m)) return;
  promise(m, candidate, unvoted?.generation ?? null);
}

/** 2. One number above all that was seen, or the number 0 of a new generation; durable before anybody is asked. */
function promise(m: Member, candidate: Candidate, generation: number | null): void {
  const above = compareEpochs(m.highestEpoch, m.promise) > 0 ? m.highestEpoch : m.promise;
  if (generation === null && above.number >= Number.MAX_SAFE_INTEGER) {
    // A promise that cannot be read back would cost the disk; no honest member comes here.
    m.refusal = {
      reason: 'NoEpochLeft',
      message: `epoch ${String(above.number)} was seen, the highest of its generation: the cluster needs a new generation`,
    };
    return stepDown(m, m.refusal.message);
  }
  const { nonce } = m.now;
  candidate.epoch =
    generation === null ? { generation: above.generation, number: above.number + 1, nonce } : { generation, number: 0, nonce };
  m.promise = candidate.epoch;
  sawEpoch(m, candidate.epoch);
  const token = persistHardState(m, () => {
    if (m.role !== candidate || candidate.stage.kind !== 'promising' || candidate.stage.token !== token) return;
    if (generation === null) askVotes(m, candidate);
    else claim(m, candidate);
  });
  candidate.stage = { kind: 'promising', token };
}

/** 3. A vote of every other member; its own counts as one. */
function askVotes(m: Member, candidate: Candidate): void {
  candidate.stage = {
    kind: 'voting',
    sinceMs: m.now.nowMs,
    sentAtMs: m.now.nowMs,
    votes: new Map([[m.config.pod, m.hardState.incarnation]]),
  };
  candidate.voteRounds += 1;
  sendVoteRequest(m, candidate);
  progress(m);
}

function sendVoteRequest(m: Member, candidate: Candidate): void {
  m.effects.push({
    kind: 'send',
    to: '*',
    message: { kind: 'voteRequest', from: m.config.pod, clusterId: clusterIdOf(m), epoch: candidate.epoch, position: m.log.position() },
  });
}

export function onVoteAnswer(m: Member, answer: MessageOf<'voteAnswer'>): void {
  sawEpoch(m, answer.promise);
  const { role } = m;
  if (role.kind !== 'candidate' || role.stage.kind !== 'voting' || !sameEpoch(role.epoch, answer.epoch) || !isKnown(m, answer.from)) return;
  if (answer.granted) {
    role.stage.votes.set(answer.from, answer.incarnation);
    progress(m);
  } else if (isMoreAdvanced(answer.position, m.log.position())) {
    // Somebody has a better log: take it over and start again.
    seek(m, answer.position);
    restart(m, role);
  } else if (compareEpochs(answer.promise, role.epoch) > 0) restart(m, role);
}

/** From the beginning, with a higher number; after a bounded number of tries the Lease is given back. */
function restart(m: Member, candidate: Candidate): void {
  if (candidate.voteRounds >= coreLimits.maxVoteRounds) stepDown(m, 'not elected');
  else candidate.stage = reading(m);
}

/** 4. One claim for one epoch, on the stream's last message as it was read. */
function claim(m: Member, candidate: Candidate): void {
  const end = m.log.position();
  const frame = encodeFrame(
    {
      version: 1,
      kind: 'claim',
      clusterId: clusterIdOf(m),
      epoch: candidate.epoch,
      index: end.index + 1,
      firstUid: end.uid + 1,
      prevHash: end.hash,
      timeMs: m.now.wallMs,
      acknowledgedIndex: m.acknowledgedIndex,
      changes: [],
      ...(candidate.epoch.number === 0 || m.log.configurations.length === 0 ? { configuration: m.lease.record?.round?.configuration } : {}),
    },
    m.config.sha256,
  );
  const token = newToken(m);
  candidate.stage = { kind: 'claiming', sinceMs: m.now.nowMs, token, frame };
  m.effects.push({ kind: 'publish', token, frames: [frame], expectedSeq: m.reader.seq });
}

export function onCandidatePublished(m: Member, candidate: Candidate, token: number, seq: number | null): void {
  const { stage } = candidate;
  if ((stage.kind !== 'claiming' && stage.kind !== 'filling') || stage.token !== token) return;
  if (seq === null) {
    restart(m, candidate);
    return;
  }
  m.reader.seq = Math.max(m.reader.seq, seq);
  if (stage.kind === 'claiming') {
    if (!m.log.contains(stage.frame.index, stage.frame.hash)) {
      m.log.append(stage.frame, seq);
      m.uncommitted.push(stage.frame);
      persist(m, { frames: [stage.frame] });
    }
    candidate.claimIndex = stage.frame.index;
    sendHeartbeat(m, candidate);
    fill(m, candidate);
  } else onFilled(m, candidate, stage, seq);
}

/** 6. A majority has the claim under exactly this promise, and the log holds the high-water mark (I6). */
function confirm(m: Member, candidate: Candidate): void {
  const reached = reachedByQuorum(m, standingsUnder(m, candidate.epoch), ({ index }) => index);
  if (reached >= candidate.claimIndex && !refuseBelowMark(m)) open(m, candidate);
}

/** Gives up without the high-water mark (I6): before anybody is asked, so that no claims pile up, and once more before it opens. */
function refuseBelowMark(m: Member): boolean {
  const refusal = belowMark(m);
  if (refusal === null) return false;
  m.refusal = refusal;
  stepDown(m, refusal.message);
  return true;
}

/** Time passes: every stage is bounded. */
export function tickCandidate(m: Member, candidate: Candidate): void {
  const { nowMs } = m.now;
  const { stage } = candidate;
  if (m.lease.heldByOther && nowMs >= m.grantedUntilMs) return stepDown(m, 'the Lease is held by another');
  switch (stage.kind) {
    case 'reading':
      if (nowMs - stage.sinceMs > coreLimits.readingTimeoutMs) return stepDown(m, 'the log could not be read to its end');
      if (stage.token === 0) candidate.stage = { ...reading(m), sinceMs: stage.sinceMs } as Candidate['stage'];
      return;
    case 'voting':
      if (nowMs - stage.sinceMs > coreLimits.voteTimeoutMs) return restart(m, candidate);
      if (nowMs - stage.sentAtMs >= coreLimits.voteResendMs) {
        stage.sentAtMs = nowMs;
        sendVoteRequest(m, candidate);
      }
      return;
    case 'confirming':
      if (nowMs - stage.sinceMs > coreLimits.confirmTimeoutMs) return stepDown(m, 'no majority took the claim');
      if (nowMs - candidate.heartbeatAtMs >= coreLimits.heartbeatMs) sendHeartbeat(m, candidate);
      return;
    case 'claiming':
    case 'filling':
      if (nowMs - stage.sinceMs > coreLimits.publishTimeoutMs) stepDown(m, 'the stream did not confirm the frame in time');
      return;
    // A disk that does not answer: the journal ends the process, or refuses.
    case 'promising':
      return;
  }
}
