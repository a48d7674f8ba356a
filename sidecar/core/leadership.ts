// Leading: group commit with one frame under way, acknowledgement by a majority that promised this very epoch, confirmed reads, heartbeats.
// Guarantees I2 and I3: nothing is answered before a quorum has it durable under this leader's promise.
// It never trusts the Lease or a clock for that; how leadership is won is in `election.ts`.
import type { ErrorCode } from '../../common/errors.ts';
import type { Configuration } from '../../common/configuration.ts';
import { encodeFrame, limits, type Change, type Frame } from './frame.ts';
import type { SubmitResult } from './io.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { coreLimits } from './limits.ts';
import { answerReads, expireReads, refuseRead } from './reads.ts';
import { isQuorum, isVoter, reachedByQuorum, standingsUnder, type Standing } from './quorum.ts';
import { nextConfiguration } from './reconfiguration.ts';
import type { Candidate, Leader, Submission, Waiter } from './role.ts';
import { acknowledge, newToken, note, persist, type Member } from './state.ts';
import { Overlay } from './store.ts';

/** Room in a frame for everything but its changes. */
const frameOverheadBytes = 4096;

/** The claim has its majority: this member leads. */
export function open(m: Member, candidate: Candidate): void {
  const leader: Leader = {
    kind: 'leader',
    epoch: candidate.epoch,
    claimIndex: candidate.claimIndex,
    heartbeatAtMs: Number.NEGATIVE_INFINITY,
    quorumAtMs: m.now.nowMs,
    round: 0,
    confirmedRound: 0,
    queue: [],
    queueBytes: 0,
    publishing: null,
    waiters: [],
    overlay: new Overlay(m.store, m.uncommitted),
    switchOver: null,
    reads: [],
  };
  m.role = leader;
  m.followed = true;
  m.synced = true;
  m.leader = null;
  m.refusal = null;
  m.grantedUntilMs = Number.NEGATIVE_INFINITY;
  note(m, 'info', 'leads', { epoch: leader.epoch.number, generation: leader.epoch.generation, uid: m.log.position().uid });
  advance(m, leader);
  sendHeartbeat(m, leader);
}

export function onSubmit(m: Member, id: number, change: Change, bytes: number): void {
  const { role } = m;
  if (role.kind !== 'leader') return refuse(m, id, 'no_leader', 'this member does not lead');
  if (m.stopping !== null || role.switchOver !== null) return refuse(m, id, 'stopping', 'this member hands leadership over');
  if (bytes > limits.changeBytes)
    return refuse(m, id, 'change_too_large', `the change has ${String(bytes)} bytes, the limit is ${String(limits.changeBytes)}`);
  if (role.queue.length >= coreLimits.queuedChanges || role.queueBytes + bytes > coreLimits.queuedBytes) {
    return refuse(m, id, 'queue_full', `${String(role.queue.length)} changes are queued, the limit is ${String(coreLimits.queuedChanges)}`);
  }
  if (role.waiters.length >= coreLimits.unconfirmedChanges)
    return refuse(m, id, 'queue_full', `${String(role.waiters.length)} changes wait for a majority, the limit`);
  role.queue.push({ id, change, bytes, deadlineMs: m.now.nowMs + coreLimits.submitTimeoutMs });
  role.queueBytes += bytes;
  publishNext(m, role);
}

function refuse(m: Member, id: number, code: ErrorCode, detail: string): void {
  m.effects.push({ kind: 'answer', id, result: { kind: 'refused', code, detail } });
}

/** Makes a frame of what is queued, unless one is under way: that one fills the next (group commit). */
function publishNext(m: Member, leader: Leader): void {
  if (leader.publishing !== null || m.reloading) return;
  const configuration = nextConfiguration(m, leader);
  if (configuration !== null) {
    note(m, 'info', 'changes who counts', { voters: configuration });
    return publish(m, leader, makeFrame(m, leader, [], configuration));
  }
  if (leader.queue.length === 0) return;
  const index = m.log.length + 1;
  const accepted: Change[] = [];
  const waiters: Waiter[] = [];
  let bytes = frameOverheadBytes;
  let taken = 0;
  for (const submission of leader.queue) {
    if (accepted.length >= limits.changesPerFrame || bytes + submission.bytes > limits.frameBytes) break;
    taken += 1;
    const { result, waitsFor } = judge(m, leader, submission, index);
    waiters.push({ id: submission.id, deadlineMs: submission.deadlineMs, index: waitsFor, result });
    if (result.kind === 'committed' && !result.duplicate) {
      accepted.push(submission.change);
      bytes += submission.bytes + 1;
    }
  }
  for (const { bytes: released } of leader.queue.splice(0, taken)) leader.queueBytes -= released;
  if (accepted.length === 0) {
    leader.waiters.push(...waiters.map((waiter) => ({ ...waiter, index: Math.min(waiter.index, m.log.length) })));
    answerWaiters(m, leader);
    publishNext(m, leader);
    return;
  }
  leader.overlay.seal(index);
  leader.waiters.push(...waiters);
  publish(m, leader, makeFrame(m, leader, accepted));
}

/** An answer is given when all that it rests on is acknowledged: a conflict may rest on a change that is not yet. */
function judge(m: Member, leader: Leader, { change }: Submission, index: number): { result: SubmitResult; waitsFor: number } {
  const verdict = leader.overlay.judge(change, leader.epoch.number);
  switch (verdict.kind) {
    case 'accepted':
      return { result: { kind: 'committed', uid: verdict.uid, epoch: leader.epoch.number, duplicate: false }, waitsFor: index };
    case 'duplicate':
      return {
        result: { kind: 'committed', ...verdict.receipt, duplicate: true },
        waitsFor: verdict.receipt.uid <= m.store.uid ? 0 : m.log.indexOfUid(verdict.receipt.uid) || index,
      };
    case 'conflict':
      return {
        result: {
          kind: 'refused',
          code: 'conflict',
          detail: `the precondition on key ${JSON.stringify(verdict.precondition.key)} does not hold`,
        },
        waitsFor: index,
      };
  }
}

function makeFrame(m: Member, leader: Leader, changes: readonly Change[], configuration?: Configuration): Frame {
  const end = m.log.position();
  return encodeFrame(
    {
      version: 1,
      kind: configuration === undefined ? 'data' : 'configuration',
      clusterId: m.log.clusterId ?? '',
      epoch: leader.epoch,
      index: end.index + 1,
      firstUid: end.uid + 1,
      prevHash: end.hash,
      timeMs: m.now.wallMs,
      acknowledgedIndex: m.acknowledgedIndex,
      changes,
      ...(configuration === undefined ? {} : { configuration }),
    },
    m.config.sha256,
  );
}

function publish(m: Member, leader: Leader, frame: Frame): void {
  const token = newToken(m);
  leader.publishing = { token, frame };
  m.effects.push({ kind: 'publish', token, frames: [frame], expectedSeq: m.reader.seq });
}

/** The stream has the frame (`true`: go on), or something else stands in its place (`false`: this member must look again who leads). */
export function onPublished(m: Member, leader: Leader, token: number, seq: number | null): boolean {
  const { publishing } = leader;
  if (publishing?.token !== token) return true;
  if (seq === null) return false;
  const { frame } = publishing;
  leader.publishing = null;
  m.reader.seq = Math.max(m.reader.seq, seq);
  if (!m.log.contains(frame.index, frame.hash)) {
    m.log.append(frame, seq);
    m.uncommitted.push(frame);
    persist(m, { frames: [frame] });
  }
  publishNext(m, leader);
  return true;
}

/** Counts what a majority has durable, answers what waited for it, and tells the followers. */
export function advance(m: Member, leader: Leader): void {
  const standings = standingsUnder(m, leader.epoch);
  const confirmed = reachedByQuorum(m, standings, ({ round }) => Math.min(round, leader.round));
  leader.confirmedRound = Math.max(leader.confirmedRound, confirmed);
  const reached = reachOf(m, leader, standings);
  // The claim had its majority before this member opened: what is reached beyond it stands on a frame of the own epoch (Raft, section 5.4.2).
  const before = m.acknowledgedIndex;
  if (reached > before) {
    acknowledge(m, reached);
    leader.overlay.release(m.store.index);
    answerWaiters(m, leader);
    sendHeartbeat(m, leader);
    // A configuration that is acknowledged may be all that what follows it waited for.
    if (m.log.configurations.some(({ index }) => index <= reached && index > before)) return advance(m, leader);
  }
  answerReads(m, leader);
}

/** `durability: Leader` acknowledges changes by the leader's disk alone, and only while its Lease is fresh; a claim or a configuration never. */
function reachOf(m: Member, leader: Leader, standings: readonly Standing[]): number {
  const quorum = reachedByQuorum(m, standings, ({ index }) => index);
  if (m.config.durability === 'Quorum' || leader.claimIndex > m.acknowledgedIndex || !m.lease.isFresh(m.now.nowMs)) return quorum;
  const own = standings.find(({ pod }) => pod === m.config.pod)?.index ?? 0;
  const undecided = m.log.configurations.find(({ index }) => index > Math.max(quorum, m.acknowledgedIndex));
  return undecided === undefined ? own : Math.max(quorum, Math.min(own, undecided.index - 1));
}

function answerWaiters(m: Member, leader: Leader): void {
  const waiting: Waiter[] = [];
  for (const waiter of leader.waiters) {
    if (waiter.index <= m.acknowledgedIndex) m.effects.push({ kind: 'answer', id: waiter.id, result: waiter.result });
    else waiting.push(waiter);
  }
  leader.waiters = waiting;
}

/** Time passes: heartbeats, time-outs, and the check that a majority still answers. Returns why this member must step down, if it must. */
export function tickLeader(m: Member, leader: Leader): string | null {
  const { nowMs } = m.now;
  if (nowMs - leader.heartbeatAtMs >= coreLimits.heartbeatMs) sendHeartbeat(m, leader);
  expire(m, leader);
  publishNext(m, leader);
  const heard = new Map([[m.config.pod, m.hardState.incarnation]]);
  for (const [pod, { report, heardAtMs }] of m.peers) if (nowMs - heardAtMs < coreLimits.peerFreshMs) heard.set(pod, report.incarnation);
  if (isQuorum(m, heard)) leader.quorumAtMs = nowMs;
  if (!isVoter(m)) return 'this member does not count any more';
  return nowMs - leader.quorumAtMs > m.config.timings.renewDeadlineMs ? 'no majority answers' : null;
}

function expire(m: Member, leader: Leader): void {
  const { nowMs } = m.now;
  for (const { id, deadlineMs } of leader.waiters)
    if (deadlineMs <= nowMs) refuse(m, id, 'outcome_unknown', 'no majority confirmed the change in time');
  leader.waiters = leader.waiters.filter(({ deadlineMs }) => deadlineMs > nowMs);
  for (const { id, deadlineMs, bytes } of leader.queue) {
    if (deadlineMs > nowMs) continue;
    leader.queueBytes -= bytes;
    refuse(m, id, 'no_leader', 'the change waited too long for its turn; it is not part of the log');
  }
  leader.queue = leader.queue.filter(({ deadlineMs }) => deadlineMs > nowMs);
  expireReads(m, leader);
}

/** Every caller hears what is known of its change: queued ones are not in the log, published ones may be. */
export function dismiss(m: Member, leader: Leader): void {
  if (leader.publishing !== null) m.effects.push({ kind: 'abortPublish' });
  for (const { id, result } of leader.waiters) {
    if (result.kind === 'committed') refuse(m, id, 'outcome_unknown', 'leadership was lost before a majority confirmed the change');
    else refuse(m, id, 'no_leader', 'leadership was lost before the answer was certain');
  }
  for (const { id } of leader.queue) refuse(m, id, 'no_leader', 'leadership was lost; the change is not part of the log');
  for (const { id } of leader.reads) refuseRead(m, id, 'no_leader', 'leadership was lost before the read was confirmed');
}
