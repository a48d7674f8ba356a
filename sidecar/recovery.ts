// Building the core from what the disk has, reading what a peer answered, and ending the process on a defect.
import type { LocatedEnd } from './core/io.ts';
import { createMember, recover, type Member, type MemberConfig } from './core/state.ts';
import type { Journal } from './ports.ts';

/** The core as its journal left it. */
export async function recoverMember(journal: Journal, config: MemberConfig): Promise<Member> {
  const member = createMember(config, journal.promise);
  for await (const { frame, seq } of journal.recovered()) {
    recover(member, frame, seq);
    member.effects.length = 0;
  }
  return member;
}

/** `null` for what is not of the form. */
export function parseLocated(payload: Uint8Array): LocatedEnd | null {
  try {
    const value = JSON.parse(new TextDecoder().decode(payload)) as Partial<LocatedEnd>;
    return typeof value.index === 'number' && (typeof value.hash === 'string' || value.hash === null)
      ? { index: value.index, hash: value.hash }
      : null;
  } catch {
    return null;
  }
}

/** A defect, not an operating failure: end the process with the error, rather than go on in a state that nobody thought of. */
export function crash(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
