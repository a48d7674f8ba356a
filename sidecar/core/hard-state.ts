// What a member never forgets beside its log, and what the member Lease remembers of it.
import { noEpoch, type Epoch, type Position } from '../../common/position.ts';

/** What a member never forgets, beside its log (the "HardState" of Raft). */
export interface HardState {
  /** The highest epoch that it has voted for, or accepted a frame of. */
  readonly promise: Epoch;
  /** Random id of the disk; `''` before it took part. */
  readonly incarnation: string;
  /** Of the process that wrote last. */
  readonly session: string;
  /** That the member Lease held when that process began: a crash may come before the new one is recorded. */
  readonly recordedSession: string;
}

export const emptyHardState: HardState = Object.freeze({ promise: noEpoch, incarnation: '', session: '', recordedSession: '' });

/** What the member Lease says of the process before. */
export interface DiskRecord {
  readonly session: string;
  readonly promise: Epoch;
  readonly position: Position;
}
