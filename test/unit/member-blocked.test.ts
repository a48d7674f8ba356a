// A member that a leader had blocked, and what becomes of it when that leader is gone.
import { expect, test } from '@jest/globals';
import { encodeFrame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { agree, running, write } from '../lib/member-stories.ts';

test('a majority that was ahead of its leader follows whom it votes for, when that one has all that they have (K9)', () => {
  const world = running(5);
  write(world, 3);
  world.until('all agree', () => agree(world));
  const ahead = ['m-1', 'm-2', 'm-3'];
  for (const pod of ahead) world.crash(pod);
  const last = world.node('m-0').frames.at(-1);
  if (last === undefined) throw new Error('no frame');
  // The leader published it, and was never told that it is stored.
  const { bytes: _bytes, hash: prevHash, ...body } = last;
  const next = encodeFrame({ ...body, index: last.index + 1, firstUid: last.firstUid + last.changes.length, prevHash }, sha256);
  for (const pod of ahead) world.node(pod).frames.push(next);
  for (const pod of ahead) world.start(pod);
  world.until('they are blocked', () => ahead.every((pod) => world.phase(pod) === 'Blocked'));
  world.crash('m-0');
  world.clearLease();
  world.until('m-4 leads', () => world.leader() === 'm-4');
  world.until('all agree', () => ['m-4', ...ahead].every((pod) => world.phase(pod) !== 'Blocked' && world.member(pod).log.holds(next)));
  for (const pod of ['m-4', ...ahead]) expect(world.node(pod).archived).toEqual([]);
});
