// A damaged journal is made whole before the member takes part: from a peer, else from the stream, and by nobody's word but the hash.
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import type { Waiting } from '../../common/report.ts';
import { packFrames } from '../../sidecar/core/message.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal, LogStream, Peers, SnapshotStore } from '../../sidecar/ports.ts';
import { podsToAsk, repairJournal } from '../../sidecar/repair.ts';
import { fastClock } from '../lib/fast-clock.ts';
import { collect, framesAfter } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { damageFrames, logDirectory, openOn } from '../lib/volatile-journal.ts';

const frames = framesAfter(null, 10);
const others = framesAfter(null, 10, 'other');
let journal: Journal;

beforeEach(async () => {
  const disk = new VolatileDisk();
  const whole = (await openOn(disk)).journal;
  for (const frame of frames) await whole.write({ frames: [frame] });
  await damageFrames(disk, [4, 5]);
  journal = (await openOn(disk, { scan: false })).journal;
  expect(journal.damage).toEqual([{ fromIndex: 4, toIndex: 5, hash: frames[4]?.hash, found: expect.stringContaining(logDirectory) }]);
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
  read: (onEvent) => {
    setImmediate(() => held().forEach(({ bytes }, at) => onEvent({ kind: 'message', seq: at + 1, bytes: packFrames([bytes]) })));
  },
  lastSeq: () => Promise.reject(new Error('not asked')),
  publish: () => Promise.reject(new Error('not asked')),
  purge: () => Promise.reject(new Error('not asked')),
});

/** One reading after the other; in each, others go on writing for as long as it lasts. */
function busyStream(...readings: (readonly Frame[])[]): LogStream {
  const later = framesAfter(frames.at(-1) ?? null, 1);
  let timer: NodeJS.Timeout | undefined;
  return {
    ...streamWith(() => []),
    read: (onEvent) => {
      clearInterval(timer);
      const isOver = onEvent.length === 0;
      const tell = (sent: readonly Frame[]): void =>
        sent.forEach(({ bytes }, at) => onEvent({ kind: 'message', seq: at + 1, bytes: packFrames([bytes]) }));
      if (isOver) return;
      timer = setInterval(() => tell(later), 5);
      tell(readings.shift() ?? []);
    },
  };
}

const told: Omit<Waiting, 'podUid'>[] = [];
const noSnapshots: SnapshotStore = {
  put: () => Promise.reject(new Error('not asked')),
  latest: () => Promise.resolve(null),
  read: () => Promise.resolve(null),
};

async function repair(peers: Peers, stream: LogStream): Promise<string[]> {
  told.length = 0;
  const said: string[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  const pods = (): string[] => podsToAsk('m', 'm-0', ['m-2', 'm-1', 'm-0']);
  await repairJournal({
    journal,
    peers,
    stream,
    snapshots: noSnapshots,
    pods,
    sha256,
    clock: fastClock(100),
    tell: (why) => told.push(why),
    log: { info: say, warn: say },
  });
  return said;
}

const expectWhole = async (): Promise<void> =>
  expect((await collect(journal.recovered())).map(({ hash }) => hash)).toEqual(frames.map(({ hash }) => hash));

describe('damaged frames of a journal', () => {
  test('are fetched from the peer that has them; what another has at their place is not taken (I1)', async () => {
    await repair(
      peersWith({ 'm-1': others, 'm-2': frames }),
      streamWith(() => []),
    );
    await expectWhole();
    expect(told).toEqual([]);
  });

  test.each([
    ['a member that failover.csv names no more: it may count still, and be the only one that has them', 'm-4'],
    ['a disaster-recovery replica', 'm-dr-1'],
  ])('are fetched from %s (I2)', async (_, pod) => {
    let looks = 0;
    await repair(
      peersWith({ [pod]: frames }),
      streamWith(() => ((looks += 1) > 1 ? frames : [])),
    );
    await expectWhole();
    expect(looks).toBe(0);
  });

  test('are read from the stream when no peer has them, among others of the same index (I1)', async () => {
    await repair(
      peersWith({ 'm-1': frames.slice(0, 3) }),
      streamWith(() => [...others, ...frames.slice(3, 5)]),
    );
    await expectWhole();
  });

  test('are read from a stream to which others go on writing', async () => {
    expect(await repair(peersWith({}), busyStream(frames))).toEqual(['damaged frames of the journal are repaired']);
    await expectWhole();
  });

  test('are not waited for without a word because others go on writing', async () => {
    const said = await repair(peersWith({}), busyStream(others, frames));
    expect(said).toEqual([expect.stringContaining('nobody has them yet'), 'damaged frames of the journal are repaired']);
    await expectWhole();
  });

  test('are waited for while nobody has them, and it is said what to do', async () => {
    let looks = 0;
    const said = await repair(
      peersWith({}),
      streamWith(() => ((looks += 1) > 3 ? frames : others)),
    );
    expect(said[0]).toContain('start another member, or bring the stream back');
    expect(told[0]).toEqual({
      reason: 'JournalDamaged',
      message: expect.stringMatching(
        /^The journal is damaged: frames 4 to 5 \(\/data\/journal\/log\/\S+: .*\)\. It waits for another member or the stream/,
      ),
    });
    await expectWhole();
  });

  test('are asked for in the order of failover.csv first, of replicas last, and not of oneself', () => {
    const pods = podsToAsk('m', 'm-0', ['m-2', 'm-1', 'm-0']);
    expect(pods.slice(0, 3)).toEqual(['m-2', 'm-1', 'm-3']);
    expect(pods.slice(-2)).toEqual(['m-dr-6', 'm-dr-7']);
    expect(pods).not.toContain('m-0');
  });
});
