// Copies by schedule: when they are made, of what, and what happens when one fails.
import { describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { parseSchedule } from '../../common/schedule.ts';
import { ArchiveSchedule } from '../../sidecar/archive-schedule.ts';
import type { MemberConfig } from '../../sidecar/core/state.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { ArchivedCopy, CopyRetention } from '../../sidecar/ports.ts';
import { recoverMember } from '../../sidecar/recovery.ts';
import { MemoryJournal } from '../lib/memory-journal.ts';
import { framesAfter } from '../lib/sample-frames.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';

const hourMs = 3_600_000;
const config: MemberConfig = {
  pod: 'm-0',
  podUid: 'uid',
  session: 'session',
  kind: 'member',
  durability: 'Quorum',
  divergedMember: 'Archive',
  checkpointBytes: 1_000_000,
  upkeepMs: 120_000,
  retainedFrames: 10_000,
  orphanFrames: 4096,
  timings: { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
  sha256,
};

/** Notes what is asked of it. */
class NotedJournal extends MemoryJournal {
  readonly copied: { readonly timeMs: number; readonly retention: CopyRetention }[] = [];
  archive: (timeMs: number, retention: CopyRetention) => Promise<ArchivedCopy | null> = (timeMs, retention) =>
    super.archiveCopy(timeMs, retention);

  override archiveCopy(timeMs: number, retention: CopyRetention): Promise<ArchivedCopy | null> {
    this.copied.push({ timeMs, retention });
    return this.archive(timeMs, retention);
  }
}

async function scheduled({ schedule = '0 * * * *', clock = new VirtualClock() } = {}) {
  const journal = new NotedJournal();
  const member = await recoverMember(journal, config);
  await journal.write({ frames: framesAfter(null, 10) });
  const restarted = await recoverMember(new MemoryJournal(journal.disk), config);
  const said: string[] = [];
  const say = (_: unknown, message?: string): void => void said.push(message ?? '');
  const archiving = new ArchiveSchedule({
    schedule: parseSchedule(schedule),
    keep: 3,
    journal,
    member: () => (journal.disk.frames.length > 0 ? restarted : member),
    clock,
    log: { info: say, warn: say },
  });
  archiving.start();
  return { journal, clock, archiving, said };
}
const failing = (): Promise<never> => Promise.reject(new AppError('disk_full', 'no room'));

describe('copies by schedule', () => {
  test('are made once for each time of the schedule, soon after it, and as many are kept as is said (K12)', async () => {
    const { journal, clock, said } = await scheduled();
    await clock.pass(5 * hourMs);
    expect(journal.copied).toHaveLength(5);
    for (const { timeMs, retention } of journal.copied) {
      expect(timeMs % hourMs).toBeLessThanOrEqual(10_000);
      expect(retention).toEqual({ count: 3, ageMs: Number.POSITIVE_INFINITY });
    }
    expect(await journal.archives()).toHaveLength(3);
    expect(said).toEqual(Array.from({ length: 5 }, () => 'archive copy made'));
  });

  test('are of what is acknowledged by then, not of an older checkpoint', async () => {
    const { journal, clock } = await scheduled();
    await journal.makeCheckpoint(3);
    await clock.pass(hourMs);
    expect(await journal.archives()).toMatchObject([{ kind: 'copy', uid: 9 }]);
  });

  test('are none before the first time of the schedule, and none after it was stopped', async () => {
    const { journal, clock, archiving } = await scheduled({ schedule: '0 0 1 1 *' });
    await clock.pass(48 * hourMs);
    expect(journal.copied).toEqual([]);
    archiving.stop();
    await expect(clock.pass(10_000)).resolves.toBeUndefined();
  });

  test('that fail are tried again, a bounded number of times, and then at the next time (I10)', async () => {
    const { journal, clock, said } = await scheduled();
    journal.archive = failing;
    const untilNextMs = (): number => hourMs - (clock.wallMs() % hourMs);
    await clock.pass(untilNextMs() + 11 * 60_000);
    expect(journal.copied).toHaveLength(3);
    await clock.pass(untilNextMs() - 1);
    expect(journal.copied).toHaveLength(5);
    const gaps = journal.copied.slice(1).map(({ timeMs }, at) => timeMs - (journal.copied[at]?.timeMs ?? 0));
    for (const gapMs of gaps) expect(gapMs).toBeGreaterThanOrEqual(5 * 60_000);
    journal.archive = (timeMs) => Promise.resolve({ kind: 'copy', id: 'c', timeMs, uid: 1, sha256: 's' });
    await clock.pass(hourMs);
    expect(journal.copied).toHaveLength(6);
    expect(said).toEqual([...Array.from({ length: 5 }, () => 'archive copy failed'), 'archive copy made']);
  });

  test('are made one at a time: a time that comes while one is being made makes no second', async () => {
    const { journal, clock } = await scheduled({ schedule: '* * * * *' });
    let finish: (copy: null) => void = () => undefined;
    journal.archive = () => new Promise((resolve) => (finish = resolve));
    await clock.pass(10 * 60_000);
    expect(journal.copied).toHaveLength(1);
    finish(null);
    await clock.pass(60_000);
    expect(journal.copied).toHaveLength(2);
  });

  test('are made once after a clock that was set forward, and go on after one that was set back', async () => {
    let offsetMs = 0;
    const virtual = new VirtualClock();
    const wallMs = virtual.wallMs.bind(virtual);
    const clock = Object.assign(virtual, { wallMs: () => wallMs() + offsetMs });
    const { journal } = await scheduled({ clock });
    offsetMs = 1000 * hourMs;
    await clock.pass(20_000);
    expect(journal.copied).toHaveLength(1);
    offsetMs = -1000 * hourMs;
    await clock.pass(hourMs);
    expect(journal.copied).toHaveLength(2);
  });
});
