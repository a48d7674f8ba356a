// One host of a MemberWorld: the disk that outlives the process, and the process while it runs.
import { coreLimits } from '../../sidecar/core/limits.ts';
import { emptyPosition } from '../../common/position.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { Input, PersistStep, ReadResult, SubmitResult } from '../../sidecar/core/io.ts';
import { emptyHardState, type DiskRecord, type HardState } from '../../sidecar/core/hard-state.ts';
import { advanceHead, type SnapshotHead, type StateRecord } from '../../sidecar/core/snapshot.ts';
import { Store } from '../../sidecar/core/store.ts';
import { createMember, recover, type Member, type MemberConfig } from '../../sidecar/core/state.ts';
import { phaseOf } from '../../sidecar/core/phase.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';

/** An answer of a peer is bounded, as that of the runtime is. */
const framesPerAnswer = 8;

export class MemberNode {
  readonly pod: string;
  readonly kind: 'member' | 'dr';
  member: Member | null = null;
  /** After those that are compacted. */
  frames: Frame[] = [];
  /** What checkpoints stand on: the whole log up to the last of them. The disk has only the heads and the state; the frames are here to make it from. */
  checkpoints: (readonly Frame[])[] = [];
  received: readonly Frame[] | null = null;
  baseIndex = 0;
  hardState: HardState = emptyHardState;
  /** What the member Lease holds. */
  record: DiskRecord | null = null;
  archived: Frame[] = [];
  /** Sequence after which the stream is read; `null` while it is not. */
  readAfter: number | null = null;
  sessions = 0;
  /** The process does not run (SIGSTOP); what comes meanwhile waits for it. */
  stopped = false;
  unheard: Input[] = [];
  wallOffsetMs = 0;
  /** With the next write: the process ends, and the disk has nothing of it. */
  losesPower = false;
  readonly results = new Map<number, SubmitResult>();
  readonly reads = new Map<number, ReadResult>();

  constructor(pod: string, kind: 'member' | 'dr') {
    this.pod = pod;
    this.kind = kind;
  }

  /** A new process, with what the disk holds. */
  start(options: Partial<MemberConfig>): void {
    this.sessions += 1;
    const config: MemberConfig = {
      pod: this.pod,
      podUid: `uid-${this.pod}`,
      session: `${this.pod}-${String(this.sessions)}`,
      kind: this.kind,
      durability: 'Quorum',
      divergedMember: 'Archive',
      checkpointBytes: 1_000_000,
      upkeepMs: 1_000_000,
      retainedFrames: 10,
      orphanFrames: coreLimits.orphanFrames,
      timings: { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
      sha256,
      ...options,
    };
    this.build(config);
  }

  build(config: MemberConfig): Member {
    const newest = this.checkpoints.at(-1) ?? [];
    const base = headOf(newest.slice(0, this.baseIndex));
    const foundation = { position: base?.position ?? emptyPosition, history: base?.history ?? [] };
    const member = createMember(config, this.hardState, { base: foundation, checkpoint: headOf(newest) });
    for (const record of stateOf(newest)) member.store.restore(record);
    for (const frame of this.frames) recover(member, frame);
    this.member = member;
    this.readAfter = null;
    return member;
  }

  /** A new volume in the place of the old one. */
  loseDisk(): void {
    this.member = null;
    this.frames = [];
    this.checkpoints = [];
    this.baseIndex = 0;
    this.hardState = emptyHardState;
  }

  describe(): string {
    return `${this.pod} ${this.member === null ? 'down' : `${JSON.stringify(phaseOf(this.member))} log ${String(this.member.log.length)}`}`;
  }

  persist({ hardState, truncateTo, frames }: PersistStep): void {
    if (this.losesPower) {
      this.losesPower = false;
      this.member = null;
      return;
    }
    if (hardState !== undefined) this.hardState = hardState;
    if (truncateTo !== undefined) this.#rewind(truncateTo);
    if (frames !== undefined) this.frames.push(...frames);
  }

  #rewind(index: number): void {
    const floor = this.baseIndex === 0 ? 0 : (this.checkpoints[0]?.length ?? 0);
    if (index > 0 && index < floor) throw new Error('a rewind leaves a log from which the state can be built');
    this.archived.push(...this.frames.splice(Math.max(index - this.baseIndex, 0)));
    this.checkpoints = this.checkpoints.filter(({ length }) => length <= index);
    if (index === 0) this.baseIndex = 0;
  }

  /** Two are kept; what lies at or before the older one is compacted. Returns what the journal would. */
  makeCheckpoint(index: number): { readonly index: number; readonly firstIndex: number } {
    const before = (this.checkpoints.at(-1) ?? []).slice(0, this.baseIndex);
    const whole = [...before, ...this.frames].slice(0, index);
    this.checkpoints = [...this.checkpoints, whole].slice(-2);
    const [older] = this.checkpoints;
    if (older !== undefined && this.checkpoints.length === 2) {
      this.frames.splice(0, older.length - this.baseIndex);
      this.baseIndex = older.length;
    }
    return { index, firstIndex: this.baseIndex + 1 };
  }

  /** The received snapshot takes the place of the log; what that has of its own is archived. */
  installSnapshot(): void {
    const snapshot = this.received ?? [];
    const hashes = new Set(snapshot.map(({ hash }) => hash));
    this.archived.push(...this.frames.filter(({ hash }) => !hashes.has(hash)));
    this.frames = [];
    this.checkpoints = [snapshot];
    this.baseIndex = snapshot.length;
    this.received = null;
  }

  /** What a reader is told whose place was purged. */
  skipPurged(purgedSeq: number): Input | null {
    if (this.readAfter === null || this.readAfter >= purgedSeq) return null;
    this.readAfter = purgedSeq;
    return { kind: 'streamPurged', firstSeq: purgedSeq + 1 };
  }

  /** To a peer that asks for frames. */
  answerWith(fromIndex: number): Uint8Array[] {
    if (this.member === null) return [];
    return this.framesFrom(fromIndex)
      .slice(0, framesPerAnswer)
      .map(({ bytes }) => bytes);
  }

  framesFrom(index: number): Frame[] {
    if (index <= this.baseIndex) return [];
    return this.frames.slice(index - 1 - this.baseIndex);
  }
}

export const headOf = (frames: readonly Frame[]): SnapshotHead | null => frames.reduce<SnapshotHead | null>(advanceHead, null);

/** What a checkpoint of these frames holds. */
function stateOf(frames: readonly Frame[]): StateRecord[] {
  const store = new Store();
  for (const frame of frames) store.apply(frame);
  const entries = store.list('', Infinity, '').map(({ key, entry }): StateRecord => ({ kind: 'entry', key, ...entry }));
  const keys = new Set(frames.flatMap(({ changes }) => changes.flatMap(({ idempotencyKey }) => idempotencyKey ?? [])));
  const receipts = [...keys].flatMap((idempotencyKey): StateRecord[] => {
    const receipt = store.receipt(idempotencyKey);
    return receipt === undefined ? [] : [{ kind: 'receipt', idempotencyKey, ...receipt }];
  });
  return [...entries, ...receipts];
}
