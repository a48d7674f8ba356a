// What this member gave up and keeps in its archive (I5), as its report names it: the newest tails and states, known again after a restart by the archive itself.
// The archive is the record; nothing here decides what is kept.
import { maxReportedDiscards, type Discarded } from '../common/report.ts';
import type { Archive } from './ports.ts';

/** `diverged-<generation>.<number>-…`: the epoch of the last frame. */
const epochForm = /^diverged-(\d+)\.(\d+)-/;

export class DiscardedChanges {
  readonly #known = new Set<string>();
  #all: readonly Archive[] = [];
  /** Changes only when something was discarded. */
  newest: Discarded[] = [];

  /** Takes note of archives; returns those that were not known. Copies are of no interest. */
  add(archives: readonly Archive[]): Archive[] {
    const added = archives.filter(({ kind, id }) => kind !== 'copy' && !this.#known.has(id));
    for (const { id } of added) this.#known.add(id);
    if (added.length > 0) {
      // Whatever a log is rewound for is more advanced, so that a later tail has no lower epoch.
      const all = [...this.#all, ...added].sort(compareByAge);
      const tails = all.filter(({ kind }) => kind === 'diverged').slice(-maxReportedDiscards);
      const states = all.filter(({ kind }) => kind === 'state').slice(-maxReportedDiscards);
      this.#all = [...tails, ...states];
      this.newest = this.#all.map(discardedOf);
    }
    return added;
  }
}

function compareByAge(a: Archive, b: Archive): number {
  if (a.kind !== 'diverged' || b.kind !== 'diverged') return a.kind === 'diverged' ? -1 : b.kind === 'diverged' ? 1 : a.timeMs - b.timeMs;
  const [generation, number] = epochOf(a);
  const [otherGeneration, otherNumber] = epochOf(b);
  return generation - otherGeneration || number - otherNumber || a.lastUid - b.lastUid;
}

function epochOf({ id }: Archive): [number, number] {
  const [, generation, number] = epochForm.exec(id) ?? [];
  return [Number(generation), Number(number)];
}

function discardedOf(archive: Archive): Discarded {
  const { id } = archive;
  if (archive.kind !== 'diverged') return { id, kind: 'state', lastUid: archive.uid };
  const { kind, firstUid, lastUid, changes } = archive;
  return { id, kind, firstUid, lastUid, changes };
}
