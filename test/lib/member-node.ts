// One host of a MemberWorld: the disk that outlives the process, and the process while it runs.
import type { Frame } from '../../sidecar/core/frame.ts';
import type { PersistStep, SequencedFrame, SubmitResult } from '../../sidecar/core/io.ts';
import { createMember, recover, type Member, type MemberConfig } from '../../sidecar/core/state.ts';
import { noEpoch, type Epoch } from '../../common/position.ts';

export class MemberNode {
  readonly pod: string;
  readonly kind: 'member' | 'dr';
  member: Member | null = null;
  frames: SequencedFrame[] = [];
  promise: Epoch = noEpoch;
  archived: Frame[] = [];
  /** Sequence after which the stream is read; `null` while it is not. */
  readAfter: number | null = null;
  sessions = 0;
  readonly results = new Map<number, SubmitResult>();

  constructor(pod: string, kind: 'member' | 'dr') {
    this.pod = pod;
    this.kind = kind;
  }

  /** A new process, with what the disk holds. */
  start(config: MemberConfig): void {
    const member = createMember(config, this.promise);
    for (const { frame, seq } of this.frames) recover(member, frame, seq);
    this.member = member;
    this.readAfter = null;
  }

  persist({ promise, truncateTo, frames }: PersistStep): void {
    if (promise !== undefined) this.promise = promise;
    if (truncateTo !== undefined) this.archived.push(...this.frames.splice(truncateTo).map(({ frame }) => frame));
    if (frames !== undefined) this.frames.push(...frames);
  }

  framesFrom(index: number): Frame[] {
    return this.frames.slice(index - 1).map(({ frame }) => frame);
  }
}
