// Makes a failing run simpler: faults are switched off one kind at a time, then clients, then the chance of the network, then the time.
// A step is kept when the same invariant still breaks. Deterministic; it does not look for the shortest run, only for a short one.
import { simulate, type RunResult } from './simulation.ts';
import type { SwarmChanges } from './swarm.ts';

const shortestPhaseMs = 500;

export async function shrink(failed: RunResult): Promise<{ readonly changes: SwarmChanges; readonly result: RunResult }> {
  let changes: SwarmChanges = {};
  let result = failed;
  const attempt = async (next: SwarmChanges): Promise<boolean> => {
    const tried = await simulate(failed.seed, next);
    if (tried.violation?.invariant !== failed.violation?.invariant || tried.steps > result.steps * 2) return false;
    changes = next;
    result = tried;
    return true;
  };
  await attempt({ ...changes, calmNetwork: true });
  for (const kind of failed.swarm.faults) await attempt({ ...changes, without: [...(changes.without ?? []), kind] });
  for (let clients = 1; clients < failed.swarm.clients; clients += 1) if (await attempt({ ...changes, clients })) break;
  for (let phaseMs = failed.swarm.faultPhaseMs; phaseMs > shortestPhaseMs; phaseMs = Math.floor(phaseMs * 0.7))
    await attempt({ ...changes, faultPhaseMs: phaseMs });
  return { changes, result };
}
