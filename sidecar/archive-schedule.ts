// Makes copies for the archive on this member's volume when the schedule says so (K12), beside the writes, one at a time. A copy that fails is tried again a
// few times and then left to the next time of the schedule. A time at which this process does not run is not made up for.
// The wall clock decides, looked at again and again: one that is set back makes a copy twice, one that is set forward skips none but those in between.
import type { Logger } from 'pino';
import { isAppError } from '../common/errors.ts';
import { nextTimeMs, type Schedule } from '../common/schedule.ts';
import { checkpointableIndex } from './core/checkpointing.ts';
import type { Member } from './core/state.ts';
import type { ArchivedCopy, Clock, Journal } from './ports.ts';

const lookMs = 10_000;
const maxTries = 5;
const retryMs = 5 * 60_000;

export interface ArchiveScheduleOptions {
  readonly schedule: Schedule;
  /** Copies that are kept, the newest. */
  readonly keep: number;
  readonly journal: Pick<Journal, 'makeCheckpoint' | 'archiveCopy'>;
  readonly member: () => Member;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

export class ArchiveSchedule {
  readonly #options: ArchiveScheduleOptions;
  /** Up to here the schedule is dealt with, by the wall clock. */
  #lookedMs = 0;
  #triesLeft = 0;
  #notBeforeMs = 0;
  #underWay = false;
  #cancel: () => void = () => undefined;

  constructor(options: ArchiveScheduleOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lookedMs = this.#options.clock.wallMs();
    this.#lookLater();
  }

  /** What is under way is not waited for: the journal does. */
  stop(): void {
    this.#cancel();
  }

  #lookLater(): void {
    this.#cancel = this.#options.clock.after(lookMs, () => {
      this.#lookLater();
      this.#look();
    });
  }

  #look(): void {
    const { clock, schedule } = this.#options;
    const wallMs = clock.wallMs();
    const dueMs = nextTimeMs(schedule, this.#lookedMs);
    this.#lookedMs = wallMs;
    if (dueMs !== null && dueMs <= wallMs) [this.#triesLeft, this.#notBeforeMs] = [maxTries, 0];
    if (this.#triesLeft > 0 && !this.#underWay && clock.nowMs() >= this.#notBeforeMs) void this.#try(wallMs);
  }

  /** Anything but an operating failure is a defect, and ends the process as an unhandled rejection. */
  async #try(timeMs: number): Promise<void> {
    const { clock, log } = this.#options;
    this.#underWay = true;
    this.#triesLeft -= 1;
    try {
      const copy = await this.#copy(timeMs);
      this.#triesLeft = 0;
      if (copy !== null) log.info({ ...copy }, 'archive copy made');
    } catch (error) {
      if (!isAppError(error)) throw error;
      this.#notBeforeMs = clock.nowMs() + retryMs;
      log.warn({ code: error.code, detail: error.detail, triesLeft: this.#triesLeft }, 'archive copy failed');
    } finally {
      this.#underWay = false;
    }
  }

  /** Of a checkpoint that is made now: the newest one may be old. */
  async #copy(timeMs: number): Promise<ArchivedCopy | null> {
    const { journal, keep, member } = this.#options;
    const index = checkpointableIndex(member());
    if (index > 0) await journal.makeCheckpoint(index);
    return journal.archiveCopy(timeMs, { count: keep, ageMs: Number.POSITIVE_INFINITY });
  }
}
