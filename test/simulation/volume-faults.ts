// What happens to the disks of hosts: bits flip, one is replaced by an empty one or by an old copy of itself, all are lost at once.
// Each is written down for the oracles: what a lost copy excuses is for losses.ts to say.
import { downMs, type Act } from './fault-act.ts';
import type { FaultKind } from './swarm.ts';

export type VolumeFault = Extract<FaultKind, 'bitFlip' | 'diskReplaced' | 'volumesLost' | 'allLost'>;

/** Its process ends, and another disk is there: the old copy of this one, when there is one and chance wants it. */
function replaceVolume(act: Act): void {
  const { world, host, chance, copies } = act;
  const copy = copies.get(host);
  host.loseVolume(copy !== undefined && chance.happens(0.5) ? copy : null);
  // One that is not older than the last report cannot be told from the disk itself, and must not be put back (sidecar/DESIGN.md).
  const reported = world.api.memberLeases.get(host.pod)?.report.position;
  if (reported === undefined || reported.index === 0 || host.record.covers(reported.hash)) host.loseVolume(null);
  host.startAfter(downMs(act));
}

/** A copy of a damaged disk is of no use to a careful person. */
function copyVolume({ host, copies }: Act): void {
  if (!host.record.isDamaged) copies.set(host, host.disk.snapshot());
}

function replaceAll(act: Act): void {
  for (const host of act.hosts) replaceVolume({ ...act, host });
}

export const volumeFaults: { readonly [Kind in VolumeFault]: (act: Act) => void } = {
  bitFlip: ({ world, host, chance }) => {
    const where = host.record.flipBit(chance);
    world.trace.say(world.scheduler.nowMs, host.pod, `a bit flips in ${where}`);
  },
  diskReplaced: (act) => {
    // The first time a copy is made; later it is put back, or an empty disk is there.
    if (act.copies.has(act.host)) replaceVolume(act);
    else copyVolume(act);
  },
  volumesLost: (act) => {
    if (act.world.swarm.keepsMajority) return;
    if (act.copies.size > 0 || act.chance.happens(0.5)) replaceAll(act);
    else for (const host of act.hosts) copyVolume({ ...act, host });
  },
  allLost: (act) => {
    if (act.world.swarm.keepsMajority) return;
    act.world.streams.log.remove();
    act.world.oracles.losses.streamLost();
    replaceAll(act);
  },
};
