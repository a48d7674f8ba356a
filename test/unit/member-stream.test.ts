// The core and a stream that loses messages: what a member takes to stand there, and how it is filled.
import { describe, expect, test } from '@jest/globals';
import { encodeFrame, limits } from '../../sidecar/core/frame.ts';
import { packFrames } from '../../sidecar/core/message.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { agree, running, write } from '../lib/member-stories.ts';

describe('what was set aside', () => {
  test('is not taken to stand in the stream when its end was lost meanwhile: who takes it over fills it in (I2)', () => {
    const world = running();
    write(world, 3);
    world.until('all agree', () => agree(world));
    const { log, promise } = world.member('m-1');
    const clusterId = log.clusterId ?? '';
    const end = log.position();
    const epochOf = (above: number) => ({ generation: promise.generation, number: promise.number + above, nonce: `n-${String(above)}` });
    // It has voted for somebody who is gone, so that it does not follow the claim that comes before that one's.
    const request = { kind: 'voteRequest', from: 'm-2', clusterId, epoch: epochOf(2), position: end } as const;
    world.tell('m-1', request);
    const claim = encodeFrame(
      {
        ...{ version: 1, kind: 'claim', clusterId, epoch: epochOf(1), index: end.index + 1, firstUid: end.uid + 1 },
        ...{ prevHash: end.hash, timeMs: 0, acknowledgedIndex: end.index, changes: [] },
      },
      sha256,
    );
    world.crash('m-0');
    // The stream had the claim as its last message, and has lost it.
    world.deliver('m-1', world.stream.length + 1, claim);
    world.clearLease();
    world.until('a member leads', () => world.leader() !== null, 20_000);
    const leading = world.member(world.leader() ?? '').log;
    expect(leading.hashAt(claim.index)).toBe(claim.hash);
    expect(world.stream.flat().map(({ hash }) => hash)).toContain(claim.hash);
  });
});

describe('a stream that was lost', () => {
  test.each([
    ['many small frames in one message', 30, 100, 1],
    ['as many large ones as a message takes', 5, 400_000, 3],
  ])('it is filled with %s', (_, changes, valueBytes, messages) => {
    const world = running();
    for (let at = 0; at < changes; at += 1) {
      const answer = world.submit('m-0', `key-${String(at)}`, 'x'.repeat(valueBytes));
      world.until('it is acknowledged', () => answer()?.kind === 'committed');
    }
    const { length } = world.member('m-0').log;
    world.loseStreamAfter(0);
    world.until('a member leads', () => world.leader() !== null);
    const [claim, ...filled] = world.stream;
    expect([claim?.length, filled.length, filled.flat().map(({ index }) => index)]).toEqual([
      1,
      messages,
      Array.from({ length }, (__, at) => at + 1),
    ]);
    for (const frames of filled) expect(packFrames(frames.map(({ bytes }) => bytes)).length).toBeLessThanOrEqual(limits.messageBytes);
  });
});
