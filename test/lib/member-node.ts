// One host of a MemberWorld: the disk that outlives the process, and the process while it runs.
import { emptyPosition } from '../../common/position.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { PersistStep, ReadResult, SequencedFrame, SubmitResult } from '../../sidecar/core/io.ts';
import { emptyHardState, type DiskRecord, type HardState } from '../../sidecar/core/hard-state.ts';
import { createMember, recover, type Member, type MemberConfig } from '../../sidecar/core/state.ts';
import { phaseOf } from '../../sidecar/core/phase.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';

export class MemberNode {
  readonly pod: string;
  readonly kind: 'member' | 'dr';
  member: Member | null = null;
  frames: SequencedFrame[] = [];
  hardState: HardState = emptyHardState;
  /** What the member Lease holds. */
  record: DiskRecord | null = null;
  archived: Frame[] = [];
  /** Sequence after which the stream is read; `null` while it is not. */
  readAfter: number | null = null;
  sessions = 0;
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
      timings: { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
      sha256,
      ...options,
    };
    const member = createMember(config, this.hardState, { base: { position: emptyPosition, history: [] }, checkpoint: null });
    for (const { frame, seq } of this.frames) recover(member, frame, seq);
    this.member = member;
    this.readAfter = null;
  }

  /** A new volume in the place of the old one. */
  loseDisk(): void {
    this.member = null;
    this.frames = [];
    this.hardState = emptyHardState;
  }

  describe(): string {
    return `${this.pod} ${this.member === null ? 'down' : `${JSON.stringify(phaseOf(this.member))} log ${String(this.member.log.length)}`}`;
  }

  persist({ hardState, truncateTo, frames }: PersistStep): void {
    if (hardState !== undefined) this.hardState = hardState;
    if (truncateTo !== undefined) this.archived.push(...this.frames.splice(truncateTo).map(({ frame }) => frame));
    if (frames !== undefined) this.frames.push(...frames);
  }

  framesFrom(index: number): Frame[] {
    return this.frames.slice(index - 1).map(({ frame }) => frame);
  }
}
