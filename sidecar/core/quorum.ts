// Counting: which members stand under a promise, and what a majority of `spec.members` has reached.
import { sameEpoch, type Epoch } from '../../common/position.ts';
import { ownReport, type Member } from './state.ts';

export const majority = (m: Member): number => Math.floor(m.config.members / 2) + 1;

/** Members, this one included, that report this very promise; with what they have durable of the own log (`0` when it is parted from it). */
export function promisedTo(m: Member, epoch: Epoch): { readonly pod: string; readonly index: number; readonly round: number }[] {
  const own = { ...ownReport(m, Number.MAX_SAFE_INTEGER) };
  const reports = [own, ...m.order.filter((pod) => pod !== m.config.pod).flatMap((pod) => m.peers.get(pod)?.report ?? [])];
  return reports
    .filter(({ promise }) => sameEpoch(promise, epoch))
    .map(({ from, position, round }) => ({ pod: from, index: m.log.contains(position.index, position.hash) ? position.index : 0, round }));
}

/** The value that a majority of `spec.members` has reached, 0 when fewer than a majority have spoken. */
export function reachedByMajority(m: Member, values: readonly number[]): number {
  return [...values].sort((a, b) => b - a)[majority(m) - 1] ?? 0;
}
