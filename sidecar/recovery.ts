// Building the core from what the disk has, and what the clock says in the form that it takes.
import type { Frame } from './core/frame.ts';
import type { Instant } from './core/io.ts';
import { createMember, recover, type Member, type MemberConfig } from './core/state.ts';
import type { Archive, Clock, Journal } from './ports.ts';

/** The core as its journal left it at the start of the process. */
export async function recoverMember(journal: Journal, config: MemberConfig): Promise<Member> {
  const member = await foundMember(journal, config);
  for await (const frame of journal.recovered()) replay(member, frame);
  return member;
}

const reloadBytes = 8 * 1024 * 1024;

/** The core as the journal has it after all the steps before, in a process that goes on; with a received snapshot in the place of the log when one is named. */
export async function renewMember(
  journal: Journal,
  config: MemberConfig,
  snapshot: string | null,
  onArchived: (archives: readonly Archive[]) => void,
): Promise<Member> {
  // A write of nothing is durable only after all the steps before it.
  if (snapshot === null) await journal.write({});
  else await journal.installSnapshot(snapshot);
  // What is left behind may be several tails, and a state.
  onArchived(await journal.archives());
  const member = await foundMember(journal, config);
  for (;;) {
    const frames = await journal.read(member.log.length + 1, reloadBytes);
    if (frames.length === 0) return member;
    for (const frame of frames) replay(member, frame);
  }
}

/** With the state of the newest checkpoint, and a log that begins after its base. */
async function foundMember(journal: Journal, config: MemberConfig): Promise<Member> {
  const member = createMember(config, journal.hardState, { base: journal.base, checkpoint: journal.checkpoint });
  for await (const record of journal.checkpointState()) member.store.restore(record);
  return member;
}

function replay(member: Member, frame: Frame): void {
  recover(member, frame);
  member.effects.length = 0;
}

/** Makes a checkpoint, and removes from the log what two of them make needless. */
export async function checkpointAndCompact(
  journal: Journal,
  index: number,
): Promise<{ readonly index: number; readonly firstIndex: number }> {
  const { position } = await journal.makeCheckpoint(index);
  return { index: position.index, firstIndex: await journal.compact() };
}

export const instantOf = (clock: Clock): Instant => ({ nowMs: clock.nowMs(), wallMs: clock.wallMs(), nonce: clock.nonce() });
