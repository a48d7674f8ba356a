// Tells Kubernetes and the listeners what changed of a member, and nothing when nothing did.
import type { Member } from './core/state.ts';
import type { MemberReport } from '../common/report.ts';
import { DiscardedChanges } from './discarded-changes.ts';
import { memberReport, outlineOf, type ReportOptions } from './member-report.ts';
import type { Archive, OwnPod } from './ports.ts';

export class StatusBoard {
  readonly #ownPod: OwnPod;
  readonly #options: ReportOptions;
  readonly #discarded = new DiscardedChanges();
  readonly #listeners = new Set<() => void>();
  #shown: readonly unknown[] = [];

  /** `archives`: those of the journal. */
  constructor(ownPod: OwnPod, options: ReportOptions, archives: readonly Archive[]) {
    this.#ownPod = ownPod;
    this.#options = options;
    this.noteArchives(archives);
  }

  /** Returns those that are news; told with the next `show`. */
  noteArchives(archives: readonly Archive[]): Archive[] {
    return this.#discarded.add(archives);
  }

  report(m: Member): MemberReport {
    return memberReport(m, this.#options, this.#discarded);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  show(m: Member): void {
    const outline = [...outlineOf(m), this.#discarded.newest];
    if (outline.every((part, at) => part === this.#shown[at])) return;
    this.#shown = outline;
    // The record of the process before stands until this one knows which disk it has.
    if (m.disk === 'registering' || m.disk === 'registered') this.#ownPod.report(this.report(m));
    this.#ownPod.labelRole(m.config.kind === 'dr' ? 'dr' : m.role.kind === 'leader' ? 'leader' : 'follower');
    for (const listener of this.#listeners) listener();
  }
}
