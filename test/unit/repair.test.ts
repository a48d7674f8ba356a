// A damaged journal is made whole before the member takes part: from a peer, else from the stream, and by nobody's word but the hash.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { packFrames } from '../../sidecar/core/message.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal, LogStream, Peers, SnapshotStore } from '../../sidecar/ports.ts';
import { repairJournal } from '../../sidecar/repair.ts';
import { fastClock } from '../lib/fast-clock.ts';
import { collect, framesAfter, logged } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { damageFrames, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 10);
const others = framesAfter(null, 10, 'other');
let journal: Journal;

beforeEach(async () => {
  const disk = new VolatileDisk();
  const whole = (await openOn(disk)).journal;
  for (const frame of frames) await whole.write({ frames: logged([frame]) });
  await damageFrames(disk, [4, 5]);
  journal = (await openOn(disk, { scan: false })).journal;
  expect(journal.damage).toEqual([{ fromIndex: 4, toIndex: 5, hash: frames[4]?.hash }]);
});

/** A pod has what `logs` says, and any other does not answer. */
const peersWith = (logs: Readonly<Record<string, readonly Frame[]>>): Peers => ({
  send: () => undefined,
  onMessage: () => undefined,
  onRequest: () => undefined,
  request: (to, payload) => {
    const { fromIndex } = JSON.parse(Buffer.from(payload).toString()) as { fromIndex: number };
    const log = logs[to];
    if (log === undefined) return Promise.reject(new AppError('no_leader', 'does not answer'));
    return Promise.resolve(packFrames(log.slice(fromIndex - 1, fromIndex).map(({ bytes }) => bytes)));
  },
});

const streamWith = (held: () => readonly Frame[]): LogStream => ({
  read: (_afterSeq, _hash, onEvent) => {
    setImmediate(() => held().forEach(({ bytes }, at) => onEvent({ kind: 'frame', seq: at + 1, bytes })));
  },
  lastSeq: () => Promise.reject(new Error('not asked')),
  publish: () => Promise.reject(new Error('not asked')),
  purge: () => Promise.reject(new Error('not asked')),
});

const noSnapshots: SnapshotStore = {
  put: () => Promise.reject(new Error('not asked')),
  latest: () => Promise.resolve(null),
  read: () => Promise.resolve(null),
};

async function repair(peers: Peers, stream: LogStream): Promise<string[]> {
  const said: string[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  const pods = (): string[] => ['m-1', 'm-2'];
  await repairJournal({
    journal,
    peers,
    stream,
    snapshots: noSnapshots,
    pods,
    sha256,
    clock: fastClock(100),
    log: { info: say, warn: say },
  });
  return said;
}

const expectWhole = async (): Promise<void> =>
  expect((await collect(journal.recovered())).map(({ frame }) => frame.hash)).toEqual(frames.map(({ hash }) => hash));

describe('damaged frames of a journal', () => {
  test('are fetched from the peer that has them; what another has at their place is not taken (I1)', async () => {
    await repair(
      peersWith({ 'm-1': others, 'm-2': frames }),
      streamWith(() => []),
    );
    await expectWhole();
  });

  test('are read from the stream when no peer has them, among others of the same index (I1)', async () => {
    await repair(
      peersWith({ 'm-1': frames.slice(0, 3) }),
      streamWith(() => [...others, ...frames.slice(3, 5)]),
    );
    await expectWhole();
  });

  test('are waited for while nobody has them, and it is said what to do', async () => {
    let looks = 0;
    const said = await repair(
      peersWith({}),
      streamWith(() => ((looks += 1) > 3 ? frames : others)),
    );
    expect(said[0]).toContain('start another member, or bring the stream back');
    await expectWhole();
  });
});
