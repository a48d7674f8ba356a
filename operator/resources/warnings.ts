// Settings of a ControlCluster that are allowed but seldom meant.
// There is no webhook that could answer a kubectl apply with them: the operator says them as Events.
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
  return warnings;
}
