// Where a log ends, and which of two logs is more advanced.
// Both programs rank logs with these functions: the sidecar when it votes, the operator when it names the leader of a start round.
// Nothing here knows how a log is stored.
import { z } from 'zod';

/**
 * One leadership. Ordered by `generation`, then `number`; the `nonce` only tells two claims of one number apart.
 * The generation is raised by the operator alone.
 */
export const epochSchema = z.strictObject({
  generation: z.int().min(0),
  number: z.int().min(0),
  nonce: z.string().max(32),
});
export type Epoch = z.infer<typeof epochSchema>;

/** The end of a log: its last frame's epoch, the UID of its last change, how many frames it has, and its last frame's chain hash. */
export const positionSchema = z.strictObject({
  epoch: epochSchema,
  uid: z.int().min(0),
  index: z.int().min(0),
  hash: z.string().regex(/^([0-9a-f]{64})?$/),
});
export type Position = z.infer<typeof positionSchema>;

/** Lower than every epoch that a leader can claim. */
export const noEpoch: Epoch = Object.freeze({ generation: 0, number: 0, nonce: '' });

/** The end of an empty log. */
export const emptyPosition: Position = Object.freeze({ epoch: noEpoch, uid: 0, index: 0, hash: '' });

/** Order of two epochs: negative, zero or positive. The nonce does not count. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  return a.generation - b.generation || a.number - b.number;
}

/** The same leadership: same order and same nonce. */
export function sameEpoch(a: Epoch, b: Epoch): boolean {
  return compareEpochs(a, b) === 0 && a.nonce === b.nonce;
}

/** Which log is more advanced (K6): epoch before UID before number of frames. Positive when `a` is. */
export function comparePositions(a: Position, b: Position): number {
  return compareEpochs(a.epoch, b.epoch) || a.uid - b.uid || a.index - b.index;
}
