// Frames that were read or fetched and are no part of the own log yet, kept within limits (I10), and the ways through them: from the end of another log
// back to where it parts from the own one. It judges no frame, and takes nothing over.
import type { Position } from '../../common/position.ts';
import { lastUid, type Frame } from './frame.ts';
import { coreLimits } from './limits.ts';
import { note, type Member } from './state.ts';

export function setAside(m: Member, frame: Frame, seq: number): void {
  const { reader } = m;
  const known = reader.orphans.get(frame.hash);
  if (known !== undefined) {
    known.seq ||= seq;
    return;
  }
  reader.orphans.set(frame.hash, { frame, seq });
  reader.orphanBytes += frame.bytes.length;
  for (const [hash, { frame: oldest }] of reader.orphans) {
    if (reader.orphans.size <= m.config.orphanFrames && reader.orphanBytes <= coreLimits.orphanBytes) break;
    reader.orphans.delete(hash);
    reader.orphanBytes -= oldest.bytes.length;
  }
}

export type Chain =
  | { readonly kind: 'whole'; readonly fork: number; readonly frames: { frame: Frame; seq: number }[] }
  | { readonly kind: 'lacks'; readonly index: number }
  /** It parts from the own log below where that may be rewound to. */
  | { readonly kind: 'partedBelowBase' };

/** Below it no state can be built again: a log that is compacted needs a checkpoint to begin from. */
export const rewindFloor = (m: Member): number => (m.log.baseIndex === 0 ? 0 : Math.max(m.log.baseIndex, m.checkpoint.index));

/** Walks back from `end` to the own log through what was set aside. */
export function chainTo(m: Member, end: Position): Chain {
  const floor = rewindFloor(m);
  const frames: { frame: Frame; seq: number }[] = [];
  let { index, hash } = end;
  while (!m.log.contains(index, hash)) {
    if (index <= floor) return { kind: 'partedBelowBase' };
    const found = m.reader.orphans.get(hash);
    if (found === undefined || index === 0) return { kind: 'lacks', index };
    frames.unshift(found);
    index -= 1;
    hash = found.frame.prevHash;
  }
  // A frame may name a place or a UID that is not its own: its hash is right, and no log can hold it.
  let { uid } = m.log.position(index);
  for (const [at, { frame }] of frames.entries()) {
    if (frame.index !== index + 1 + at || frame.firstUid !== uid + 1) {
      drop(m, frame);
      return { kind: 'lacks', index: frame.index };
    }
    uid = lastUid(frame);
  }
  return index < Math.min(floor, m.log.length) ? { kind: 'partedBelowBase' } : { kind: 'whole', fork: index, frames };
}

function drop(m: Member, frame: Frame): void {
  note(m, 'error', 'a frame does not follow from the one before it', { index: frame.index, uid: frame.firstUid });
  m.reader.orphans.delete(frame.hash);
  m.reader.orphanBytes -= frame.bytes.length;
}
