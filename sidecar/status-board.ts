// Tells Kubernetes and the listeners what changed of a member, and nothing when nothing did.
import type { Member } from './core/state.ts';
import { memberReport, outlineOf } from './member-report.ts';
import type { OwnPod } from './ports.ts';

export class StatusBoard {
  readonly #ownPod: OwnPod;
  readonly #options: { readonly address: string; readonly version: string };
  readonly #listeners = new Set<() => void>();
  #shown: ReturnType<typeof outlineOf> = [];

  constructor(ownPod: OwnPod, options: { readonly address: string; readonly version: string }) {
    this.#ownPod = ownPod;
    this.#options = options;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  show(m: Member): void {
    const outline = outlineOf(m);
    if (outline.every((part, at) => part === this.#shown[at])) return;
    this.#shown = outline;
    // The record of the process before stands until this one knows which disk it has.
    if (m.disk === 'registering' || m.disk === 'registered') this.#ownPod.report(memberReport(m, this.#options));
    this.#ownPod.labelRole(m.config.kind === 'dr' ? 'dr' : m.role.kind === 'leader' ? 'leader' : 'follower');
    for (const listener of this.#listeners) listener();
  }
}
