// Settings of a ControlCluster that are allowed but seldom meant.
// There is no webhook that could answer a kubectl apply with them: the operator says them as Events.
import { nextTimeMs, parseSchedule } from '../../common/schedule.ts';
import type { ControlClusterSpec } from '../../common/schema.ts';

export function warningsFor(spec: ControlClusterSpec): { readonly reason: string; readonly message: string }[] {
  const warnings: { reason: string; message: string }[] = [];
  if (spec.members % 2 === 0)
    warnings.push({
      reason: 'EvenMembers',
      message: `${String(spec.members)} members survive the loss of no more of them than ${String(spec.members - 1)} do; take an odd number.`,
    });
  if (spec.replication.durability === 'Leader')
    warnings.push({
      reason: 'LeaderDurability',
      message: 'With durability Leader a fail-over may lose acknowledged changes; Quorum does not.',
    });
  if (spec.archive !== undefined && nextTimeMs(parseSchedule(spec.archive.schedule), 0) === null)
    warnings.push({
      reason: 'ArchiveNeverDue',
      message: `archive.schedule ${spec.archive.schedule} names a day that no year has: no copy is ever made.`,
    });
  return warnings;
}
