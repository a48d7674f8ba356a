// The head of a snapshot follows the log frame by frame.
import { describe, expect, test } from '@jest/globals';
import { encodeFrame } from '../../sidecar/core/frame.ts';
import { advanceHead, type SnapshotHead } from '../../sidecar/core/snapshot.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { epochOf, frameAfter, framesAfter } from '../lib/sample-frames.ts';

describe('the head of a snapshot', () => {
  test('keeps each leadership with its first index, and the last configuration', () => {
    const configuration = [{ pod: 'm-0', incarnation: 'i' }];
    const { bytes: _bytes, hash: _hash, ...claim } = frameAfter(null, [], epochOf(1, 'a'));
    const founding = encodeFrame({ ...claim, configuration }, sha256);
    const first = framesAfter(founding, 2, 'x', epochOf(1, 'a'));
    const second = frameAfter(first[1] ?? null, [], epochOf(1, 'b'));
    const head = [founding, ...first, second].reduce<SnapshotHead | null>(advanceHead, null);
    expect(head).toEqual({
      clusterId: 'sample',
      position: { epoch: epochOf(1, 'b'), uid: 2, index: 4, hash: second.hash },
      history: [
        { epoch: epochOf(1, 'a'), fromIndex: 1 },
        { epoch: epochOf(1, 'b'), fromIndex: 4 },
      ],
      configuration,
    });
  });
});
