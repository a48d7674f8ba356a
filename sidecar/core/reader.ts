// Reading the log: which frames of the stream become part of the own log, and how missing ancestors are fetched (design: the reading rules).
// Guarantees that what is appended continues the own chain (I1), and that what is dropped was archived by the same journal step (I5).
// It does not decide who leads, and it never blocks: only a starting member is judged (`join.ts`).
import { compareEpochs, sameEpoch, type Position } from '../../common/position.ts';
import { decodeFrame, endOf, type Frame } from './frame.ts';
import { coreLimits } from './limits.ts';
import { isToRecover } from './eligibility.ts';
import { unpackFrames } from './message.ts';
import { knownMembers } from './quorum.ts';
import { chainTo, setAside } from './set-aside.ts';
import { snapshotGiver } from './snapshot-transfer.ts';
import { acknowledge, clusterIdOf, isMoreAdvanced, newToken, note, persist, sawEpoch, type Member } from './state.ts';

/** Begins to read at the first message. What an earlier reading found may have been of another stream, or of an end that is lost (ADR 14). */
export function startReading(m: Member): void {
  const { reader } = m;
  if (reader.active) return;
  reader.active = true;
  reader.seq = 0;
  reader.readAtMs = m.now.nowMs;
  m.log.forgetStored();
  for (const aside of reader.orphans.values()) aside.seq = 0;
  m.effects.push({ kind: 'readStream' });
}

export function readAgain(m: Member): void {
  m.reader.active = false;
  startReading(m);
}

/** The stream lost its end, or is another one: reading begins at its first message again. */
export function onStreamRestarted(m: Member): void {
  note(m, 'warn', 'stream is read again from its first message', { seq: m.reader.seq });
  m.reader.seq = 0;
  m.log.forgetStored();
  m.reader.orphans.clear();
  m.reader.orphanBytes = 0;
  // It may be gone as it was asked for.
  if (m.refusal?.reason === 'ForeignStream') m.refusal = null;
}

/** One message of the stream, in order. */
export function onStreamMessage(m: Member, seq: number, bytes: Uint8Array): void {
  // What this member stored itself may be ahead of what is read back: only a restart leads back.
  m.reader.seq = Math.max(m.reader.seq, seq);
  m.reader.readAtMs = m.now.nowMs;
  const frames = unpackFrames(bytes);
  if (frames === null) note(m, 'error', 'stream holds a message that holds no frames', { seq });
  for (const frame of frames ?? []) if (!m.reloading) onStreamFrame(m, seq, frame);
}

function onStreamFrame(m: Member, seq: number, bytes: Uint8Array): void {
  const frame = decodeFrame(bytes, m.config.sha256);
  if ('error' in frame) {
    note(m, 'error', 'stream holds what is no frame', { seq, error: frame.error });
    return;
  }
  const clusterId = clusterIdOf(m);
  if (clusterId !== '' && frame.clusterId !== clusterId) {
    m.refusal = {
      reason: 'ForeignStream',
      message: `the stream holds the log of another cluster (${frame.clusterId}, this one is ${clusterId}): delete the stream CC_<namespace>_<name> in NATS, or bring back the volumes that belong to it`,
    };
    return;
  }
  sawEpoch(m, frame.epoch);
  accept(m, frame, seq);
}

/** The reading rules, in the order of the design. */
function accept(m: Member, frame: Frame, seq: number): void {
  if (m.log.holds(frame)) {
    m.log.markStored(frame.index, seq);
    return;
  }
  if (!mayFollow(m, frame)) {
    // Not followed now; kept, since it may be an ancestor of what is followed later, or what a candidate takes over.
    setAside(m, frame, seq);
    assemble(m);
    return;
  }
  if (m.log.continues(frame)) {
    takeOver(m, m.log.length, [{ frame, seq }]);
    appendChildren(m);
    return;
  }
  setAside(m, frame, seq);
  const end = endOf(frame);
  if (m.reader.target === null || isMoreAdvanced(end, m.reader.target)) seek(m, end);
}

const mayFollow = (m: Member, frame: Frame): boolean => !isBelowPromise(m, frame) && compareEpochs(frame.epoch, m.log.lastEpoch) >= 0;

function isBelowPromise(m: Member, frame: Frame): boolean {
  if (isToRecover(m)) return false;
  const order = compareEpochs(frame.epoch, m.promise);
  if (order !== 0) return order < 0;
  // Only one nonce of a number can have won the votes; a frame of it is followed unless the own log already has one of that number.
  return !sameEpoch(frame.epoch, m.promise) && compareEpochs(m.log.lastEpoch, frame.epoch) === 0;
}

/** Wants the log that ends at `target`: from what was set aside, else frame by frame from the peers. */
export function seek(m: Member, target: Position): void {
  m.reader.target = target;
  m.reader.fetchTries = 0;
  m.reader.fetchCursor = 0;
  assemble(m);
}

/** Takes the target over when it is whole; otherwise asks for what is missing. */
export function assemble(m: Member): void {
  const { target } = m.reader;
  if (target === null) return;
  const chain = chainTo(m, target);
  if (chain.kind === 'partedBelowBase') {
    m.reader.partedBelowBase = true;
    m.reader.target = null;
    return;
  }
  if (chain.kind === 'lacks') {
    if (!takeOverNearest(m)) fetchMissing(m, chain.index);
    return;
  }
  m.reader.target = null;
  if (chain.frames.length === 0 || !isMoreAdvanced(target, m.log.position())) return;
  takeOver(m, chain.fork, chain.frames);
  appendChildren(m);
}

/** The target may be further away than what can be held: the first frame that may be followed and is whole down to the own log is a step towards it. */
function takeOverNearest(m: Member): boolean {
  let nearest: Frame | null = null;
  for (const { frame } of m.reader.orphans.values())
    if (mayFollow(m, frame) && (nearest === null || frame.index < nearest.index)) nearest = frame;
  if (nearest === null || !isMoreAdvanced(endOf(nearest), m.log.position())) return false;
  const chain = chainTo(m, endOf(nearest));
  if (chain.kind !== 'whole') return false;
  takeOver(m, chain.fork, chain.frames);
  appendChildren(m);
  return true;
}

function fetchMissing(m: Member, lacking: number): void {
  const { reader } = m;
  // The journal sets the pace: no more is asked for before it has what came.
  if (snapshotGiver(m) !== null || reader.fetch !== null || m.persisting.size > 0 || m.now.nowMs < reader.fetchAtMs) return;
  const sources = fetchSources(m);
  const peer = sources[reader.fetchTries % Math.max(sources.length, 1)];
  if (peer === undefined) {
    // There is nobody to ask; what the stream still brings is looked at as it comes.
    return giveUpTarget(reader);
  }
  const begin = lacking > m.log.length ? m.log.length + 1 : lacking - coreLimits.fetchWindowFrames;
  const fromIndex = Math.max(1, reader.fetchCursor > begin && reader.fetchCursor <= lacking ? reader.fetchCursor : begin);
  reader.fetch = { token: newToken(m), peer, fromIndex };
  m.effects.push({ kind: 'fetch', token: reader.fetch.token, from: peer, fromIndex });
}

/** The leader first. Who counts still is asked too when failover.csv no longer names it: it may be the only one that has the frames. */
function fetchSources(m: Member): string[] {
  const sources = new Set(m.leader === null ? [] : [m.leader.pod]);
  for (const pod of knownMembers(m)) sources.add(pod);
  sources.delete(m.config.pod);
  return [...sources];
}

function giveUpTarget(reader: Member['reader']): void {
  reader.unsupplied = reader.target;
  reader.target = null;
}

/** It leads, or has claimed, under a promise that is not below the own. */
const isFollowed = ({ leader, promise }: Member, pod: string): boolean => leader?.pod === pod && compareEpochs(leader.epoch, promise) >= 0;

/** A peer's answer: frames of its log from where they were asked for. */
export function onFetched(m: Member, token: number, packed: readonly Uint8Array[]): void {
  const { reader } = m;
  if (reader.fetch?.token !== token) return;
  const { fromIndex, peer } = reader.fetch;
  reader.fetch = null;
  const before = reader.orphans.size + m.log.length;
  for (const bytes of packed) {
    const frame = decodeFrame(bytes, m.config.sha256);
    if ('error' in frame || frame.clusterId !== (clusterIdOf(m) || frame.clusterId)) break;
    // What may be followed is, as if the stream had it, and so is what the leader has of before it led: a log that lacks more than can be held comes closer frame by frame.
    if (m.log.continues(frame) && (isFollowed(m, peer) || mayFollow(m, frame))) takeOver(m, m.log.length, [{ frame, seq: 0 }]);
    else if (!m.log.holds(frame)) setAside(m, frame, 0);
    if (m.reloading) return;
    reader.fetchCursor = frame.index + 1;
  }
  if (reader.orphans.size + m.log.length === before || reader.fetchCursor <= fromIndex) {
    // This peer has nothing that helps: the next one, after all of them a pause, and after some rounds nobody.
    reader.fetchTries += 1;
    reader.fetchCursor = 0;
    const peers = Math.max(fetchSources(m).length, 1);
    if (reader.fetchTries % peers === 0) reader.fetchAtMs = m.now.nowMs + coreLimits.fetchRetryMs;
    if (reader.fetchTries >= coreLimits.fetchRounds * peers) giveUpTarget(reader);
  }
  assemble(m);
}

/** The best log end that can be taken over whole from what was set aside, when it is more advanced than the own log (a candidate's first step). */
export function takeOverBest(m: Member): void {
  const ends = [...m.reader.orphans.values()].map(({ frame }) => endOf(frame)).sort((a, b) => (isMoreAdvanced(a, b) ? -1 : 1));
  for (const end of ends) {
    if (!isMoreAdvanced(end, m.log.position())) return;
    const chain = chainTo(m, end);
    if (chain.kind === 'whole') {
      takeOver(m, chain.fork, chain.frames);
      return;
    }
  }
}

/** Gives up all after frame `index`; it is archived first (I5). */
export function rewindTo(m: Member, index: number): void {
  takeOver(m, index, []);
}

/**
 * A forced start gave up what is compacted here (K10), and the log that leads now is whole: all of the own log is archived, and that one read from its first frame.
 * A snapshot of it there need not be: perhaps nothing in it is acknowledged.
 */
export function beginAnewWhenGivenUp(m: Member): void {
  const { leader } = m;
  if (m.reloading || m.role.kind !== 'follower' || !m.reader.partedBelowBase || leader?.baseIndex !== 0) return;
  if (compareEpochs(leader.epoch, m.promise) >= 0 && leader.epoch.generation > m.log.lastEpoch.generation) rewindTo(m, 0);
}

/** Rewinds to `fork` and appends: one journal step, in which the dropped tail is archived before it is cut (I5). */
function takeOver(m: Member, fork: number, chain: readonly { frame: Frame; seq: number }[]): void {
  const rewinds = fork < m.log.length;
  const loses = fork < m.store.index;
  if (rewinds) {
    note(m, 'warn', 'log rewound to follow a more advanced one', { fromIndex: m.log.length, toIndex: fork, uid: m.log.position().uid });
    m.log.truncate(fork);
    m.acknowledgedIndex = Math.min(m.acknowledgedIndex, fork);
    m.uncommitted = m.uncommitted.filter(({ index }) => index <= fork);
  }
  const last = chain.at(-1)?.frame;
  if (last !== undefined && compareEpochs(last.epoch, m.promise) >= 0) m.promise = last.epoch;
  for (const { frame, seq } of chain) {
    m.log.append(frame, seq);
    if (!loses) m.uncommitted.push(frame);
    const aside = m.reader.orphans.get(frame.hash);
    if (aside !== undefined) {
      m.reader.orphans.delete(frame.hash);
      m.reader.orphanBytes -= aside.frame.bytes.length;
    }
  }
  if (rewinds) m.hardState = { ...m.hardState, promise: m.promise };
  persist(m, { ...(rewinds ? { hardState: m.hardState, truncateTo: fork } : {}), frames: chain.map(({ frame }) => frame) });
  if (loses) {
    m.reloading = true;
    m.effects.push({ kind: 'reload', reason: 'acknowledged changes were rewound' });
    return;
  }
  acknowledge(m, last?.acknowledgedIndex ?? 0);
}

/** Frames that were set aside and continue the log now. */
function appendChildren(m: Member): void {
  for (;;) {
    const child = [...m.reader.orphans.values()].find(({ frame }) => m.log.continues(frame) && mayFollow(m, frame));
    if (child === undefined || m.reloading) return;
    takeOver(m, m.log.length, [child]);
  }
}
