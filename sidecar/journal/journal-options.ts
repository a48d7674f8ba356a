// What a journal is opened with: its place, what it tells, and the parts that a test or a simulation gives in the place of the machine's.
import type { Logger } from 'pino';
import type { Sha256 } from '../core/frame.ts';
import type { Compress } from './archive-copy.ts';
import type { Checkpointer } from './checkpoint.ts';
import type { Disk } from './disk.ts';

/** Size after which a segment is sealed and the next batch begins a new one. */
export const defaultSegmentBytes = 64 * 1024 * 1024;
export const defaultRoomBytes = 1024 * 1024;

export interface JournalOptions {
  readonly directory: string;
  readonly sha256: Sha256;
  readonly log: Pick<Logger, 'warn' | 'fatal'>;
  /** Ends the process. Called after a failed sync, when the page cache no longer says what is on the disk, and on a broken invariant. */
  readonly onFatal: (error: unknown) => void;
  readonly segmentBytes?: number;
  readonly roomBytes?: number;
  /** Another disk makes its checkpoints in this thread. */
  readonly disk?: Disk;
  readonly checkpointer?: Checkpointer;
  /** Another one than that of the platform, which works in threads of its own. */
  readonly compress?: Compress;
}
