// What a MemoryJournal archives of a tail: how it is listed, and its changes.
import { lastUid, type Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { ArchivedChange, ArchivedTail } from '../../sidecar/ports.ts';

export function describeTail(tail: readonly Frame[]): ArchivedTail | null {
  const [first, last] = [tail[0], tail.at(-1)];
  if (first === undefined || last === undefined || lastUid(last) < first.firstUid) return null;
  const id = `diverged-${String(last.epoch.generation)}.${String(last.epoch.number)}-${String(first.firstUid)}-${String(lastUid(last))}-${last.hash.slice(0, 8)}`;
  return {
    kind: 'diverged',
    id,
    firstUid: first.firstUid,
    lastUid: lastUid(last),
    changes: lastUid(last) - first.firstUid + 1,
    sha256: sha256(id),
  };
}

export const changesIn = (tail: readonly Frame[]): ArchivedChange[] =>
  tail.flatMap(({ changes, epoch, firstUid }) => changes.map((change, at) => ({ uid: firstUid + at, epoch, change })));
