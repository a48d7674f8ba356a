// The state at one place of the log, with what the log before it must still tell (ADR 11). Its bytes are the journal's matter.
import { sameEpoch, type Epoch, type Position } from '../../common/position.ts';
import type { Configuration } from '../../common/configuration.ts';
import { lastUid, type Frame } from './frame.ts';

/** One leadership of a log: all frames from `fromIndex` up to the next span are of this epoch and nonce. */
export interface EpochSpan {
  readonly epoch: Epoch;
  readonly fromIndex: number;
}

export interface SnapshotHead {
  readonly clusterId: string;
  /** The last frame that the state holds; acknowledged. */
  readonly position: Position;
  /** Of the whole log up to `position`, in order of index. */
  readonly history: readonly EpochSpan[];
  /** The last one at or before `position`; `null` when there is none. */
  readonly configuration: Configuration | null;
}

/** The head after one more frame; `null` is the head before the first. */
export function advanceHead(head: SnapshotHead | null, frame: Frame): SnapshotHead {
  const history = head?.history ?? [];
  const last = history.at(-1);
  return {
    clusterId: frame.clusterId,
    position: { epoch: frame.epoch, uid: lastUid(frame), index: frame.index, hash: frame.hash },
    history:
      last !== undefined && sameEpoch(last.epoch, frame.epoch) ? history : [...history, { epoch: frame.epoch, fromIndex: frame.index }],
    configuration: frame.configuration ?? head?.configuration ?? null,
  };
}
