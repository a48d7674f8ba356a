// When a checkpoint is due, and what is compacted after it (ADR 11, K12). Only acknowledged frames that the disk has go into one.
// The journal makes it beside the writes, and says from which frame on the log is still there.
import { coreLimits } from './limits.ts';
import { newToken, note, type Member } from './state.ts';

/** The last frame that may go into a checkpoint; 0 when there is none. */
export function checkpointableIndex({ log, store, durable: { position } }: Member): number {
  // What is durable may be the end of a log that is being rewound.
  return log.holds(position) ? Math.min(store.index, position.index) : 0;
}

/** Called after every input. */
export function checkpointWhenDue(m: Member): void {
  const { checkpoint } = m;
  const index = checkpointableIndex(m);
  if (m.reloading || checkpoint.token !== null || checkpoint.bytes < m.config.checkpointBytes || m.now.nowMs < checkpoint.notBeforeMs)
    return;
  if (index <= checkpoint.index) return;
  checkpoint.token = newToken(m);
  m.effects.push({ kind: 'checkpoint', token: checkpoint.token, index });
}

/** `done` is `null` when none could be made: it is tried again, and the log is kept as long. */
export function onCheckpointed(m: Member, token: number, done: { readonly index: number; readonly firstIndex: number } | null): void {
  const { checkpoint } = m;
  if (checkpoint.token !== token) return;
  checkpoint.token = null;
  if (done === null) {
    checkpoint.notBeforeMs = m.now.nowMs + coreLimits.checkpointRetryMs;
    return;
  }
  checkpoint.index = done.index;
  checkpoint.bytes = 0;
  m.log.compact(Math.min(done.firstIndex - 1, m.log.length));
  note(m, 'info', 'checkpoint made', { index: done.index, firstIndex: done.firstIndex });
}
