// When the newest checkpoint is stored in NATS, as the snapshot from which the stream alone can rebuild the cluster (ADR 11). The leader's matter: it looks at what
// is stored once in a while, one thing at a time, and stores what is newer, or purges the stream below what is stored. Never on the way of a write; whoever leads no more stops at once.
// What happens to the bytes is the runtime's matter.
import { purgeStream } from './purging.ts';
import type { SnapshotFound, SnapshotOrigin } from './snapshot.ts';
import { newToken, note, type Member } from './state.ts';

/** Called after every input. */
export function storeSnapshotWhenDue(m: Member): void {
  const { upkeep, now } = m;
  if (m.role.kind !== 'leader') {
    if (upkeep.token !== null) m.effects.push({ kind: 'abortStoring' });
    upkeep.token = null;
    upkeep.purgedBeforeSeq = 0;
    pause(m);
    return;
  }
  if (upkeep.token !== null || now.nowMs < upkeep.notBeforeMs) return;
  upkeep.token = newToken(m);
  m.effects.push({ kind: 'findSnapshot', token: upkeep.token });
}

/** `null`: NATS did not answer. */
export function onSnapshotFound(m: Member, token: number, found: SnapshotFound | null): void {
  const { upkeep } = m;
  if (upkeep.token !== token) return;
  pause(m);
  upkeep.token = null;
  if (found === null) return;
  if (!isOutdated(m, found.origin)) {
    if (found.origin !== null) purgeStream(m, found.origin.position);
    return;
  }
  upkeep.token = newToken(m);
  m.effects.push({ kind: 'storeSnapshot', token: upkeep.token });
}

/** `null` when it could not be stored: it is tried again. */
export function onSnapshotStored(m: Member, token: number, origin: SnapshotOrigin | null): void {
  const { upkeep } = m;
  if (upkeep.token !== token) return;
  pause(m);
  upkeep.token = null;
  if (origin !== null) note(m, 'info', 'snapshot stored in NATS', { index: origin.position.index, uid: origin.position.uid });
}

/** There is a checkpoint that is newer, or what is stored is none of this log: a forced start gave it up, or it was another cluster's. */
function isOutdated(m: Member, stored: SnapshotOrigin | null): boolean {
  if (m.checkpoint.index === 0) return false;
  return (
    stored === null || stored.clusterId !== m.log.clusterId || !m.log.holds(stored.position) || stored.position.index < m.checkpoint.index
  );
}

function pause(m: Member): void {
  m.upkeep.notBeforeMs = m.now.nowMs + m.config.upkeepMs;
}
