// What the stream alone could rebuild: the frames that stand in it, and those below the newest snapshot that is whole in NATS.
// Read off the servers' content, whatever a program says of it.
import { decodeSnapshotMessage } from '../../sidecar/stream/snapshot-message.ts';
import type { World } from './world.ts';

type StreamCopyWorld = Pick<World, 'streams' | 'oracles'>;

/** All of the log that ends with this frame; `''` is the empty log. `until` ends the look at frames that need not be there. */
export function streamHolds({ streams, oracles }: StreamCopyWorld, hash: string, until: (hash: string) => boolean = () => false): boolean {
  const { book } = oracles;
  const held = new Set(Array.from(streams.log.content?.bytes() ?? [], (bytes) => book.framesIn(bytes).map((frame) => frame.hash)).flat());
  const stored = storedHash(streams);
  for (let frame = book.get(hash); frame !== undefined && !until(frame.hash); frame = book.get(frame.prevHash)) {
    if (book.ancestor(stored, frame.index) === frame) return true;
    if (!held.has(frame.hash)) return false;
  }
  return true;
}

/** A disk is gone. A stream that could not rebuild the log by itself is no second copy of it, however much of it stands there. */
export function noteDiskLost(world: StreamCopyWorld, pod: string): void {
  const { losses, acknowledged, mark } = world.oracles;
  if (![acknowledged.tip, mark].every((end) => streamHolds(world, end?.hash ?? ''))) losses.streamLost();
  losses.diskLost(pod);
}

/** Of the last frame that the newest snapshot holds; `''` without one. */
function storedHash({ snapshots }: World['streams']): string {
  for (const bytes of [...(snapshots.content?.bytes() ?? [])].reverse()) {
    const head = decodeSnapshotMessage(bytes)?.head;
    if (head?.kind === 'manifest') return head.origin.position.hash;
  }
  return '';
}
