// The state at one place of the log, with what the log before it must still tell (ADR 11). Its bytes are the journal's matter.
import { z } from 'zod';
import { epochSchema, positionSchema, sameEpoch, type Epoch, type Position } from '../../common/position.ts';
import { configurationSchema, type Configuration } from '../../common/configuration.ts';
import { endOf, type Frame, type Json } from './frame.ts';

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

/** Which state a snapshot holds. */
export type SnapshotOrigin = Pick<SnapshotHead, 'clusterId' | 'position'>;

/** What NATS answered: `origin` of the newest snapshot that is there whole, `null` when there is none. */
export interface SnapshotFound {
  readonly origin: SnapshotOrigin | null;
}

/** Whom a snapshot is taken from. */
export type SnapshotGiver = { readonly kind: 'member'; readonly pod: string } | { readonly kind: 'nats' };

/** A snapshot that is on the disk, whole. */
export interface ReceivedSnapshot {
  readonly id: string;
  readonly head: SnapshotOrigin;
}

export const snapshotOriginSchema: z.ZodType<SnapshotOrigin> = z.strictObject({ clusterId: z.string().max(253), position: positionSchema });

export const snapshotHeadSchema: z.ZodType<SnapshotHead> = z.strictObject({
  clusterId: z.string().max(253),
  position: positionSchema,
  history: z.array(z.strictObject({ epoch: epochSchema, fromIndex: z.int().min(1) })),
  configuration: configurationSchema.nullable(),
});

/** One part of the state. Entries come first, in code-unit order of their key; then receipts (I8), in order of their UID. */
export type StateRecord =
  | { readonly kind: 'entry'; readonly key: string; readonly value: Json; readonly uid: number }
  | { readonly kind: 'receipt'; readonly idempotencyKey: string; readonly uid: number; readonly epoch: number };

/** The head after one more frame; `null` is the head before the first. */
export function advanceHead(head: SnapshotHead | null, frame: Frame): SnapshotHead {
  const history = head?.history ?? [];
  const last = history.at(-1);
  return {
    clusterId: frame.clusterId,
    position: endOf(frame),
    history:
      last !== undefined && sameEpoch(last.epoch, frame.epoch) ? history : [...history, { epoch: frame.epoch, fromIndex: frame.index }],
    configuration: frame.configuration ?? head?.configuration ?? null,
  };
}
