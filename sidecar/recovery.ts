// Building the core from what the disk has, and what the clock says in the form that it takes.
import { emptyPosition } from '../common/position.ts';
import type { Frame } from './core/frame.ts';
import type { Instant } from './core/io.ts';
import { createMember, recover, type Member, type MemberConfig } from './core/state.ts';
import type { Clock, Journal } from './ports.ts';

/** The core as its journal left it at the start of the process. */
export async function recoverMember(journal: Journal, config: MemberConfig): Promise<Member> {
  const member = createMember(config, journal.hardState, { base: { position: emptyPosition, history: [] }, checkpoint: null });
  for await (const { frame, seq } of journal.recovered()) replay(member, frame, seq);
  return member;
}

const reloadBytes = 8 * 1024 * 1024;

/** The core as the journal has it now, in a process that goes on. */
export async function reloadMember(journal: Journal, config: MemberConfig): Promise<Member> {
  const member = createMember(config, journal.hardState, { base: { position: emptyPosition, history: [] }, checkpoint: null });
  for (;;) {
    const frames = await journal.read(member.log.length + 1, reloadBytes);
    if (frames.length === 0) return member;
    for (const { frame, seq } of frames) replay(member, frame, seq);
  }
}

function replay(member: Member, frame: Frame, seq: number): void {
  recover(member, frame, seq);
  member.effects.length = 0;
}

export const instantOf = (clock: Clock): Instant => ({ nowMs: clock.nowMs(), wallMs: clock.wallMs(), nonce: clock.nonce() });
