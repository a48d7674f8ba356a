// Frames for tests: each continues the one before it, with the platform's real SHA-256.
import type { Epoch } from '../../common/position.ts';
import { encodeFrame, lastUid, type Change, type Frame } from '../../sidecar/core/frame.ts';
import { emptyHardState, type HardState } from '../../sidecar/core/hard-state.ts';
import type { SnapshotOrigin } from '../../sidecar/core/snapshot.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';

export const epochOf = (number: number, nonce = 'n'): Epoch => ({ generation: 0, number, nonce });

/** What a member that promised this has on its disk beside the log. */
export const promised = (promise: Epoch): HardState => ({ ...emptyHardState, promise, incarnation: 'disk' });

export const put = (key: string, value: string): Change => ({ operations: [{ put: { key, value } }] });

/** The frame after `previous`, or the first of a log. Without changes it is a claim. */
export function frameAfter(previous: Frame | null, changes: readonly Change[], epoch: Epoch = epochOf(1)): Frame {
  const index = (previous?.index ?? 0) + 1;
  return encodeFrame(
    {
      version: 1,
      kind: changes.length === 0 ? 'claim' : 'data',
      clusterId: 'sample',
      epoch,
      index,
      firstUid: previous === null ? 1 : lastUid(previous) + 1,
      prevHash: previous?.hash ?? '',
      timeMs: 1_700_000_000_000 + index,
      acknowledgedIndex: index - 1,
      changes,
    },
    sha256,
  );
}

/** `count` frames of one change each after `previous`. Different `label`s make different frames. */
export function framesAfter(previous: Frame | null, count: number, label = 'a', epoch: Epoch = epochOf(1)): Frame[] {
  const frames: Frame[] = [];
  let last = previous;
  for (let made = 0; made < count; made += 1) {
    last = frameAfter(last, [put(`${label}${String((last?.index ?? 0) + 1)}`, 'v'.repeat(20))], epoch);
    frames.push(last);
  }
  return frames;
}

/** Of a snapshot that a test invents. */
export const originNamed = (label: string): SnapshotOrigin => ({
  clusterId: 'sample',
  position: { epoch: epochOf(1), uid: 1, index: 1, hash: sha256(label) },
});

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
