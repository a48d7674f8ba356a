// A change of an archived tail as it is submitted again: a new change, known by its key, so that a replay that is repeated makes it once (I8).
import type { Change } from './core/frame.ts';
import type { ArchivedChange } from './ports.ts';

/** With its own key, or one by epoch and UID: within one epoch and nonce that is one change, in whichever archives it stands. */
export function replayed({ uid, epoch, change }: ArchivedChange): Change {
  const { generation, number, nonce } = epoch;
  return { idempotencyKey: `replay-${String(generation)}.${String(number)}.${nonce}-${String(uid)}`, ...change };
}
