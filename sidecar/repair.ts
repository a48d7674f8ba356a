// Puts damaged frames of the journal back before the member takes part (ADR 11): from another pod, else from the stream. A frame is known by its hash, so that
// no source needs to be trusted. While no source has them the member waits: a log with a hole must neither be served nor counted. What nobody has any more is given up
// for a snapshot, and with it the identity of the disk.
import { unpackFrames } from './core/message.ts';
import type { Logger } from 'pino';
import { decodeFrame, type Frame, type Sha256 } from './core/frame.ts';
import { isAppError } from '../common/errors.ts';
import { drPodName, memberPodName } from '../common/names.ts';
import { maxDisasterRecoveryReplicas, maxMembers } from '../common/status.ts';
import { journalDamaged, type Waiting } from '../common/report.ts';
import { fetchFrames } from './peer-calls.ts';
import type { SnapshotOrigin } from './core/snapshot.ts';
import type { Clock, DamagedFrames, Journal, LogStream, Peers, SnapshotStore } from './ports.ts';
import { receiveSnapshot, snapshotsInNats, snapshotsOfPeer } from './snapshot-exchange.ts';

const retryMs = 1000;
/** So often all are asked before the damaged frames are taken for lost: another member may only be starting. */
const roundsBeforeSnapshot = 5;
/** Nothing came from the stream for so long that stands before the end of the hole: it has no more. */
const streamSilenceMs = 3000;

export interface RepairSources {
  readonly journal: Journal;
  readonly peers: Peers;
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  /** Whom to ask, in this order. */
  readonly pods: () => readonly string[];
  readonly sha256: Sha256;
  readonly clock: Clock;
  /** Tells people why this member does not take part yet; again and again while it lasts. */
  readonly tell: (why: Omit<Waiting, 'podUid'>) => void;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/**
 * The members in the order of failover.csv, then every other pod that a cluster of this name may have. Who is to go may count still, and replicas have frames too;
 * a journal with a hole does not say who they are, and a pod that is not there refuses at once.
 */
export function podsToAsk(cluster: string, pod: string, order: readonly string[]): string[] {
  const members = Array.from({ length: maxMembers }, (_, ordinal) => memberPodName(cluster, ordinal));
  const replicas = Array.from({ length: maxDisasterRecoveryReplicas }, (_, ordinal) => drPodName(cluster, ordinal));
  return [...new Set([...order, ...members, ...replicas])].filter((other) => other !== pod);
}

/** Resolves when the journal is sound. Rejects with AppError disk_full. */
export async function repairJournal(sources: RepairSources): Promise<void> {
  const { journal, clock, log, tell } = sources;
  let rounds = 0;
  for (let hole = journal.damage[0]; hole !== undefined; hole = journal.damage[0]) {
    const frames = (await fromPeers(hole, sources)) ?? (await fromStream(hole, sources));
    if (frames !== null) {
      await journal.repair(frames);
      log.info({ ...hole }, 'damaged frames of the journal are repaired');
      continue;
    }
    rounds += 1;
    if (rounds >= roundsBeforeSnapshot && ((await leaveToCheckpoint(sources)) || (await giveWayToSnapshot(hole, sources)))) return;
    log.warn({ ...hole }, 'frames of the journal are damaged, and nobody has them yet: start another member, or bring the stream back');
    tell(whyWaiting(hole));
    await new Promise<void>((resolve) => clock.after(retryMs, resolve));
  }
}

function whyWaiting({ fromIndex, toIndex, found }: DamagedFrames): Omit<Waiting, 'podUid'> {
  const which = fromIndex === toIndex ? `frame ${String(fromIndex)}` : `frames ${String(fromIndex)} to ${String(toIndex)}`;
  const next = 'It waits for another member or the stream to have them: start the others, or bring NATS back.';
  return { reason: journalDamaged, message: `The journal is damaged: ${which} (${found}). ${next}` };
}

/** The own checkpoint holds all that is damaged: only the frames are lost, and others may have compacted them too. */
async function leaveToCheckpoint({ journal, log }: RepairSources): Promise<boolean> {
  const index = journal.checkpoint?.position.index ?? 0;
  if (journal.damage.some(({ toIndex }) => toIndex > index)) return false;
  await journal.beginBehindCheckpoint();
  log.warn({ index }, 'frames of the journal are damaged for good: its log begins behind the checkpoint that holds them');
  return true;
}

/**
 * Nobody has the frames any more: all have compacted them, and the stream was purged. A snapshot that holds them takes the place of the log. What the log had beyond it
 * is archived, and may have been counted on: this disk is another one from then on, which is durable before (ADR 10).
 */
async function giveWayToSnapshot(hole: DamagedFrames, sources: RepairSources): Promise<boolean> {
  const { journal, peers, snapshots, pods, log } = sources;
  const accepts = ({ clusterId, position }: SnapshotOrigin): boolean =>
    clusterId === journal.checkpoint?.clusterId &&
    position.index >= hole.toIndex &&
    position.epoch.generation >= journal.hardState.promise.generation;
  for (const source of [...pods().map((pod) => snapshotsOfPeer(peers, pod)), snapshotsInNats(snapshots)]) {
    const received = await receiveSnapshot(journal, source, accepts).catch(orNull);
    if (received === null) continue;
    await journal.write({ hardState: { ...journal.hardState, incarnation: '' } });
    const tail = await journal.installSnapshot(received.id);
    log.warn(
      { ...hole, uid: received.head.position.uid },
      'frames of the journal are damaged for good: a snapshot takes the place of the log',
    );
    if (tail !== null) log.warn({ ...tail }, 'discarded changes archived');
    return true;
  }
  return false;
}

async function fromPeers(hole: DamagedFrames, { peers, pods, sha256 }: RepairSources): Promise<Frame[] | null> {
  for (const pod of pods()) {
    const frames = new Map<number, Frame[]>();
    for (let next = hole.fromIndex; next <= hole.toIndex;) {
      const some = await fetchFrames(peers, pod, next).catch(orNull);
      if (some === null || some.length === 0) break;
      for (const bytes of some) note(frames, decodeFrame(bytes, sha256));
      next += some.length;
    }
    const chain = chainOf(hole, frames);
    if (chain !== null) return chain;
  }
  return null;
}

/** Who does not answer has nothing. */
function orNull(error: unknown): null {
  if (!isAppError(error)) throw error;
  return null;
}

/** Reads the stream from its first message until it has the hole, or says nothing new of it. */
function fromStream(hole: DamagedFrames, { stream, sha256, clock }: RepairSources): Promise<Frame[] | null> {
  const frames = new Map<number, Frame[]>();
  return new Promise((resolve) => {
    const end = (): void => {
      stream.read(
        () => undefined,
        () => new Promise(() => undefined),
      );
      resolve(chainOf(hole, frames));
    };
    let cancel = clock.after(streamSilenceMs, end);
    stream.read(
      (event) => {
        if (event.kind !== 'message') return;
        const heard = (unpackFrames(event.bytes) ?? []).map((bytes) => decodeFrame(bytes, sha256));
        // What others write meanwhile is no news of the hole.
        const news = heard.filter((frame) => 'hash' in frame && frame.index <= hole.toIndex) as Frame[];
        if (news.length === 0) return;
        cancel();
        for (const frame of news) if (frame.index >= hole.fromIndex) note(frames, frame);
        if (chainOf(hole, frames) === null) cancel = clock.after(streamSilenceMs, end);
        else end();
      },
      () => Promise.resolve(),
    );
  });
}

function note(frames: Map<number, Frame[]>, frame: Frame | { readonly error: string }): void {
  if ('error' in frame) return;
  const known = frames.get(frame.index) ?? [];
  if (!known.some(({ hash }) => hash === frame.hash)) frames.set(frame.index, [...known, frame]);
}

/** From the last frame back, each known by the hash that the one behind it names. */
function chainOf({ fromIndex, toIndex, hash }: DamagedFrames, frames: ReadonlyMap<number, readonly Frame[]>): Frame[] | null {
  const chain: Frame[] = [];
  let wanted = hash;
  for (let index = toIndex; index >= fromIndex; index -= 1) {
    const found = frames.get(index)?.find((frame) => frame.hash === wanted);
    if (found === undefined) return null;
    chain.unshift(found);
    wanted = found.prevHash;
  }
  return chain;
}
