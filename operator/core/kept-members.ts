// How many members have pods: those of the specification, and those that are to go but still count (ADR 10).
// Only what a leader's log says lets one go; while nobody is seen to lead, all stay.
import type { ControlCluster } from '../../common/schema.ts';
import { reportLifetimeMs, type ObservedLease } from './observed.ts';

/** `existing`: pods that there are to be now. */
export function keptMembers({ spec }: ControlCluster, leases: readonly ObservedLease[], existing: number): number {
  const leader = leases.find(({ report, ageMs, proven }) => proven && ageMs <= reportLifetimeMs && report?.phase === 'Leading')?.report;
  if (leader === undefined || leader === null) return Math.max(spec.members, existing);
  const ordinals = leader.configurations.flat().map(({ pod }) => Number(/\d+$/.exec(pod)?.[0] ?? 0));
  return Math.max(spec.members, ...ordinals.map((ordinal) => ordinal + 1));
}
