// What must hold at every moment, judged from what was answered to callers, what the disks hold, and what members report of themselves.
// I1 to I4, I6 to I9 are here; I5 is in disk-record.ts, I8 and the order of changes in acknowledged-log.ts, convergence in convergence.ts.
// It never asks a program whether it behaves.
import { compareEpochs, sameEpoch } from '../../common/position.ts';
import type { HighWaterMark, MemberReport } from '../../common/report.ts';
import { decodeFrame, type Change, type Frame, type Precondition } from '../../sidecar/core/frame.ts';
import { unpackFrames } from '../../sidecar/core/message.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { AcknowledgedLog, describe, type Complaint } from './acknowledged-log.ts';
import type { DiskRecord } from './disk-record.ts';
import { changeAt, FrameBook } from './frame-book.ts';
import { Losses } from './losses.ts';

/** A leadership that has opened, from its first report to the end of its process or the first report of something else. */
interface Leadership {
  readonly pod: string;
  readonly claim: Frame;
  readonly openUid: number;
  endMs: number;
}

export interface OracleOptions {
  /** `Leader` loses acknowledged changes by definition: what rests on a majority is not judged. */
  readonly durability: 'Quorum' | 'Leader';
  readonly complain: Complaint;
  readonly nowMs: () => number;
}

/** A message, or the word of a leader that does not know yet that it was deposed, may be this old. */
const maxHearsayMs = 30_000;

export class Oracles {
  readonly book = new FrameBook();
  readonly acknowledged: AcknowledgedLog;
  readonly losses: Losses;
  readonly disks = new Map<string, DiskRecord>();
  readonly #options: OracleOptions;
  readonly #leaderships: Leadership[] = [];
  readonly #conflicts: { readonly preconditions: readonly Precondition[]; readonly fromUid: number; readonly toUid: number }[] = [];
  /** Of the last frame of each pod's log, as it says. */
  readonly #generations = new Map<string, number>();
  /** What the status of the ControlCluster records (I6). */
  mark: HighWaterMark | null = null;

  constructor(options: OracleOptions) {
    this.#options = options;
    this.acknowledged = new AcknowledgedLog(this.book, options.complain);
    this.losses = new Losses(this.book, (pod, hash) => this.disks.get(pod)?.isAtRisk(hash) === true);
  }

  watch(pod: string, record: DiskRecord): void {
    this.disks.set(pod, record);
  }

  published(pod: string, kind: 'member' | 'dr', message: Uint8Array): void {
    const frames = (unpackFrames(message) ?? []).map((bytes) => decodeFrame(bytes, sha256)).filter((frame) => 'hash' in frame);
    if (kind === 'dr') this.#options.complain('I4', `disaster-recovery replica ${pod} publishes ${frames.map(describe).join(', ')}`);
    this.book.addMessage(message, frames);
  }

  /** What a member says of itself, each time that it says something new. */
  reported(report: MemberReport): void {
    this.#generations.set(report.pod, report.position.epoch.generation);
    const { pod, phase, promise } = report;
    const current = this.#leaderships.findLast((each) => each.pod === pod && each.endMs === Infinity);
    if (phase !== 'Leading') {
      if (current !== undefined && phase !== 'Stopping') current.endMs = this.#options.nowMs();
      return;
    }
    if (current !== undefined && sameEpoch(current.claim.epoch, promise)) return;
    if (current !== undefined) current.endMs = this.#options.nowMs();
    if (report.role === 'dr') this.#options.complain('I4', `disaster-recovery replica ${pod} leads`);
    const claim = this.book.claimOf(promise.nonce);
    if (claim === undefined) this.#options.complain('I3', `${pod} leads without a claim`);
    else {
      this.#judgeOpening(pod, claim);
      // What was given up with it is not expected of those who follow.
      this.#leaderships.push({ pod, claim, openUid: this.acknowledged.uid, endMs: Infinity });
    }
  }

  /** The process has ended. */
  ended(pod: string): void {
    for (const each of this.#leaderships) if (each.pod === pod) each.endMs = Math.min(each.endMs, this.#options.nowMs());
  }

  #judgeOpening(pod: string, claim: Frame): void {
    const { complain, durability } = this.#options;
    const twin = this.#leaderships.find(
      (each) => compareEpochs(each.claim.epoch, claim.epoch) === 0 && each.claim !== claim && !this.losses.excuse(each.claim),
    );
    if (twin !== undefined) complain('I3', `${pod} and ${twin.pod} have both opened epoch ${String(claim.epoch.number)}`);
    if (durability === 'Leader') return;
    if (!this.#isHeldByMajority(claim.hash))
      complain('I3', `${pod} opens without its claim on the disks of a majority: ${this.#holdersOf(claim.hash)}`);
    this.#judgeLosses(pod, claim);
    if (
      this.mark !== null &&
      compareEpochs(this.mark.epoch, claim.epoch) < 0 &&
      claim.epoch.generation <= this.mark.epoch.generation &&
      this.book.ancestor(claim.hash, this.mark.index)?.hash !== this.mark.hash
    )
      complain('I6', `${pod} opens epoch ${String(claim.epoch.number)} without the high-water mark, UID ${String(this.mark.uid)}`);
  }

  /** A leader may open without acknowledged frames only when nothing promises them any more. */
  #judgeLosses(pod: string, claim: Frame): void {
    // A member that stood still may open late, on answers from before later leaderships: what those have acknowledged is not its to have.
    const before = this.acknowledged.after(0).filter(({ epoch }) => compareEpochs(epoch, claim.epoch) < 0);
    const lost = before.filter((frame) => this.book.ancestor(claim.hash, frame.index) !== frame);
    const missed = lost.find((frame) => !this.losses.excuse(frame));
    if (missed !== undefined)
      this.#options.complain('I2', `${pod} opens epoch ${describe(claim)} without acknowledged frame ${describe(missed)}`);
    if (lost[0] === undefined) return;
    this.acknowledged.giveUpAfter(lost[0].index - 1);
  }

  /** A caller was told that its change has this UID, in this epoch. */
  committed(change: Change, uid: number, epochNumber: number): void {
    const frames = this.book
      .withUid(uid)
      .filter((frame) => frame.epoch.number === epochNumber && changeAt(frame, uid)?.idempotencyKey === change.idempotencyKey);
    if (frames.length === 0) {
      this.#options.complain('I2', `change ${String(uid)} is acknowledged and in no frame of epoch ${String(epochNumber)}`);
      return;
    }
    this.#rely(frames, `change ${String(uid)} is acknowledged`);
  }

  /** Somebody read the state that the first `uid` changes make: they are acknowledged. */
  shown(pod: string, uid: number): void {
    if (uid > this.acknowledged.uid) this.#rely(this.book.withUid(uid), `${pod} shows change ${String(uid)}`);
  }

  /** One of these frames is acknowledged: that of which a majority has a durable copy, or has one of a claim above it, which may say anew who counts. */
  #rely(frames: readonly Frame[], evidence: string): void {
    const { complain, durability } = this.#options;
    if (durability === 'Leader') return;
    const isBelowClaim = (each: Frame): boolean =>
      this.#leaderships.some(({ claim }) => this.book.ancestor(claim.hash, each.index) === each);
    const held = frames.filter((each) => this.#isHeldByMajority(each.hash) || isBelowClaim(each));
    // The same UID of what was given up was on a majority of the disks once, too.
    const frame = held.find((each) => !this.losses.excuse(each)) ?? held.find((each) => !this.#isGivenUp(each)) ?? held[0];
    if (frame === undefined) {
      complain('I2', `${evidence} and not on the disks of a majority: ${frames.map(({ hash }) => this.#holdersOf(hash)).join(', ')}`);
      return;
    }
    // Whoever has not heard of a forced start yet goes on with what it gave up.
    if (this.losses.excuse(frame) && (!this.acknowledged.fits(frame) || this.#isGivenUp(frame))) return;
    this.acknowledged.extend(frame);
    for (const { claim, pod } of this.#leaderships) {
      if (
        compareEpochs(claim.epoch, frame.epoch) > 0 &&
        this.book.ancestor(claim.hash, frame.index) !== frame &&
        !this.losses.excuse(frame)
      )
        complain(
          'I3',
          `${evidence} in epoch ${String(frame.epoch.number)}, and not in epoch ${String(claim.epoch.number)} that ${pod} had opened`,
        );
    }
  }

  /** The last leadership has opened without it. A forced start may bring back what the one before gave up. */
  #isGivenUp(frame: Frame): boolean {
    const [last] = this.#leaderships.map(({ claim }) => claim).sort((a, b) => compareEpochs(b.epoch, a.epoch));
    return last !== undefined && compareEpochs(last.epoch, frame.epoch) > 0 && this.book.ancestor(last.hash, frame.index) !== frame;
  }

  /** A linearizable read that was asked when `beforeUid` was acknowledged. */
  readLinearizably(pod: string, uid: number, beforeUid: number): void {
    if (this.#options.durability === 'Quorum' && uid < beforeUid)
      this.#options.complain(
        'I9',
        `a linearizable read at ${pod} shows UID ${String(uid)}, and ${String(beforeUid)} was acknowledged before it was asked`,
      );
  }

  /** What a reader was shown is what the acknowledged log makes. */
  readKey(pod: string, key: string, atUid: number, entry: { readonly uid: number; readonly value: unknown } | undefined): void {
    if (this.#options.durability === 'Leader' || this.#isOvertaken(pod)) return;
    const expected = this.acknowledged.versionAt(key, atUid);
    if (entry?.value !== expected.value || (entry !== undefined && entry.uid !== expected.uid))
      this.#options.complain(
        'I9',
        `${pod} shows ${key} = ${JSON.stringify(entry)} at UID ${String(atUid)}, the log says ${JSON.stringify(expected)}`,
      );
  }

  /** A change was refused for its preconditions; whether rightly is known when the log is. */
  conflicted(preconditions: readonly Precondition[], fromUid: number): void {
    this.#conflicts.push({ preconditions, fromUid, toUid: this.book.highestUid });
  }

  /** The gate opened: the member leads, or has caught up with a leader that it can have heard of (I7). */
  started(pod: string, uid: number, processStartMs: number): void {
    const isLate = this.#leaderships.some(({ endMs, openUid }) => endMs + maxHearsayMs >= processStartMs && uid >= openUid);
    if (!isLate && this.#options.durability === 'Quorum') this.#options.complain('I7', `${pod} opens its gate at UID ${String(uid)}`);
  }

  /** When all is over: the refusals can be judged. */
  conclude(): void {
    // What was refused for changes that were given up can be judged no more.
    if (this.#options.durability === 'Leader' || this.acknowledged.gaveUp) return;
    for (const { preconditions, fromUid, toUid } of this.#conflicts) {
      if (this.acknowledged.refusedBetween(preconditions, fromUid, Math.min(toUid, this.acknowledged.uid))) continue;
      // Nor what was refused for changes that nobody had heard of before their disks were lost.
      const since = Array.from({ length: toUid - fromUid }, (_, at) => this.book.withUid(fromUid + 1 + at)).flat();
      if (!since.some((frame) => this.losses.excuse(frame)))
        this.#options.complain('order', `a change was refused for ${JSON.stringify(preconditions)}, which held all the time`);
    }
  }

  /** It has not followed the last forced start yet, or that one has not opened: what it gave up is not known. */
  #isOvertaken(pod: string): boolean {
    const { forcedGeneration } = this.losses;
    const opened = Math.max(0, ...this.#leaderships.map(({ claim }) => claim.epoch.generation));
    return Math.min(opened, this.#generations.get(pod) ?? 0) < forcedGeneration;
  }

  #holdersOf(hash: string): string {
    const pods = [...this.disks].flatMap(([pod, record]) => (record.holds(hash) ? [pod] : []));
    return `${hash.slice(0, 8)} on ${pods.length === 0 ? 'none' : pods.join(' and ')}`;
  }

  /** Of the pods that count from the last configuration at or before the frame on. */
  #isHeldByMajority(hash: string): boolean {
    const voters = this.book.votersAt(hash);
    const holders = voters.filter((pod) => this.disks.get(pod)?.hasHeld(hash) === true);
    return 2 * holders.length > voters.length;
  }
}
