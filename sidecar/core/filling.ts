// A candidate fills the stream with every frame of its log that the stream is not known to hold, and no snapshot in NATS, before it opens: together they
// are a second copy (I2).
// Many frames go in one message: of a stream that was lost whole, one frame at a time would keep everybody waiting for minutes.
import { limits, type Frame } from './frame.ts';
import { packedBytes } from './message.ts';
import type { Candidate, CandidateStage } from './role.ts';
import type { SnapshotFound } from './snapshot.ts';
import { newToken, type Member } from './state.ts';

type Filling = Extract<CandidateStage, { kind: 'filling' }>;

/** What a snapshot that is whole in NATS holds need not be in the stream: where a purge took it, it is not filled in again. */
export function fill(m: Member, candidate: Candidate): void {
  if (m.log.firstNotStored(1) === 0) return fillFrom(m, candidate, 1);
  const token = newToken(m);
  candidate.stage = { kind: 'filling', sinceMs: m.now.nowMs, token, index: 1, count: 0 };
  m.effects.push({ kind: 'findSnapshot', token });
}

/** `null`: NATS did not answer. */
export function onFillFloor(m: Member, token: number, found: SnapshotFound | null): void {
  const { role } = m;
  if (role.kind !== 'candidate' || role.stage.kind !== 'filling' || role.stage.token !== token) return;
  const origin = found?.origin ?? null;
  const isOfThisLog = origin !== null && origin.clusterId === m.log.clusterId && m.log.holds(origin.position);
  fillFrom(m, role, isOfThisLog ? origin.position.index + 1 : 1);
}

/** Looks for the first frame from `index` on that the stream lacks, and has the journal give it; when there is none, the claim is to be confirmed. */
function fillFrom(m: Member, candidate: Candidate, index: number): void {
  const first = m.log.firstNotStored(index);
  if (first === 0) {
    candidate.stage = { kind: 'confirming', sinceMs: m.now.nowMs };
    return;
  }
  const token = newToken(m);
  candidate.stage = { kind: 'filling', sinceMs: m.now.nowMs, token, index: first, count: 0 };
  m.effects.push({ kind: 'load', token, fromIndex: first });
}

export function onLoaded(m: Member, token: number, frames: readonly Frame[]): void {
  const { role } = m;
  if (role.kind !== 'candidate' || role.stage.kind !== 'filling' || role.stage.token !== token) return;
  const { index } = role.stage;
  // It was compacted meanwhile, which the core may hear a moment later: then the stream needs it no more.
  if (index <= m.log.baseIndex || (frames.length === 0 && m.checkpoint.token !== null)) return fillFrom(m, role, index);
  const lacking = lackingOf(m, index, frames);
  if (lacking.length === 0) throw new Error('broken invariant I1: the journal does not hold the log');
  const publishToken = newToken(m);
  role.stage = { kind: 'filling', sinceMs: m.now.nowMs, token: publishToken, index, count: lacking.length };
  m.effects.push({ kind: 'publish', token: publishToken, frames: lacking, expectedSeq: m.reader.seq });
}

/** The stream has them. */
export function onFilled(m: Member, candidate: Candidate, { index, count }: Filling, seq: number): void {
  for (let at = 0; at < count; at += 1) m.log.markStored(index + at, seq);
  fillFrom(m, candidate, index + count);
}

/** Of the frames from `index` on, those that the stream lacks up to the first that it has, as many as one message takes. */
function lackingOf(m: Member, index: number, frames: readonly Frame[]): Frame[] {
  const lacking: Frame[] = [];
  let bytes = 0;
  for (const frame of frames) {
    const at = index + lacking.length;
    bytes += packedBytes(frame.bytes);
    if (bytes > limits.messageBytes || m.log.firstNotStored(at) !== at) break;
    if (frame.index !== at || !m.log.contains(at, frame.hash)) break;
    lacking.push(frame);
  }
  return lacking;
}
