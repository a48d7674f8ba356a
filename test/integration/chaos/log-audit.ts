// The log as the members serve it, read on as it grows: what was once served as acknowledged stays as it is, on every member, and each change
// is in it once (I1, I2, I8). It keeps a digest of each change, not the change.
import { createHash } from 'node:crypto';
import type { Attempt } from '../../lib/client-history.ts';
import type { SidecarProcess } from '../../lib/sidecar-process.ts';

const pageLimit = 1000;
/** So much of the end of a log is read again; that is less than what the members keep when they compact. */
const comparedChanges = 50_000;

interface Served {
  readonly uid: number;
  readonly idempotencyKey?: string;
}

export class LogAudit {
  /** Of the change with UID n at place n - 1. */
  readonly #digests: string[] = [];
  readonly #uids = new Map<string, number>();
  readonly problems: string[] = [];

  get uid(): number {
    return this.#digests.length;
  }

  /** Reads what is new. */
  async readOn(sidecar: SidecarProcess): Promise<void> {
    await this.#read(sidecar, this.uid + 1);
  }

  /** Reads its end again, from long ago on. */
  async compare(sidecar: SidecarProcess): Promise<void> {
    const end = await this.#read(sidecar, Math.max(1, this.uid - comparedChanges));
    if (end !== this.uid) this.problems.push(`the log of ${sidecar.pod} ends at ${String(end)}, not at ${String(this.uid)}`);
  }

  /** What was acknowledged and is not in the log at its UID (I2). */
  missing(attempts: readonly Attempt[]): string[] {
    return attempts.flatMap(({ idempotencyKey = '', result }) => {
      if (result.kind !== 'written' || this.#uids.get(idempotencyKey) === result.uid) return [];
      return [`${idempotencyKey} was acknowledged as ${String(result.uid)} and is in the log as ${String(this.#uids.get(idempotencyKey))}`];
    });
  }

  async #read(sidecar: SidecarProcess, fromUid: number): Promise<number> {
    let next = fromUid;
    for (;;) {
      const answer = await sidecar.call(`/v1/changes?fromUid=${String(next)}&limit=${String(pageLimit)}`);
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${sidecar.pod} does not serve its log: ${text}`);
      const lines = text.split('\n').filter((line) => line !== '');
      if (lines.length === 0) return next - 1;
      for (const line of lines) {
        this.#take(sidecar.pod, next, line);
        next += 1;
      }
    }
  }

  #take(pod: string, place: number, line: string): void {
    const { uid, idempotencyKey = '' } = JSON.parse(line) as Served;
    const digest = createHash('sha256').update(line).digest('base64');
    if (uid !== place) this.problems.push(`${pod} serves UID ${String(uid)} in the place of ${String(place)}`);
    const known = this.#digests[place - 1];
    if (known !== undefined) {
      if (known !== digest) this.problems.push(`${pod} serves another change ${String(place)} than was served before: ${line}`);
      return;
    }
    this.#digests.push(digest);
    const earlier = this.#uids.get(idempotencyKey);
    if (earlier !== undefined) this.problems.push(`${idempotencyKey} is in the log as ${String(earlier)} and as ${String(uid)}`);
    this.#uids.set(idempotencyKey, uid);
  }
}
