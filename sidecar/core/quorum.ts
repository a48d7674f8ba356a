// Counting by disks (ADR 10): which configurations are active, who stands under a promise, and what a majority of each of them has reached.
import { sameVoters, type Configuration, type Voter } from '../../common/configuration.ts';
import { sameEpoch, type Epoch } from '../../common/position.ts';
import { podOfIdentity } from '../../common/report.ts';
import type { Member } from './state.ts';

/** A member, by its disk, and how far it is. */
export interface Standing {
  readonly pod: string;
  readonly incarnation: string;
  /** What it has durable of this log; 0 when it is parted from it. */
  readonly index: number;
  /** Newest heartbeat round that it has answered. */
  readonly round: number;
}

/** The last configuration that is acknowledged, and all after it; a claim that carries one replaces those before it. */
function activeConfigurations(m: Member, acknowledgedIndex: number = m.acknowledgedIndex): Configuration[] {
  const { configurations } = m.log;
  const from = configurations.findLastIndex(({ index, replaces }) => replaces || index <= acknowledgedIndex);
  if (from !== -1) return configurations.slice(from).map(({ voters }) => voters);
  // Nobody has claimed yet: the founding round says who counts.
  const founding = m.log.length === 0 ? m.lease.record?.round?.configuration : null;
  return founding === undefined || founding === null ? [] : [founding];
}

/** Those that a process finds active that starts with this log and knows no more than it says, each once. A log names no more than a few that are not acknowledged. */
export function configurationsInLog(m: Member): Voter[][] {
  if (m.log.length === 0) return [];
  const active = activeConfigurations(m, m.log.confirmedIndex);
  return active.filter((voters, at) => at === 0 || !sameVoters(voters, active[at - 1] ?? [])).map((voters) => [...voters]);
}

export const isVoter = (m: Member): boolean =>
  m.disk === 'registered' &&
  activeConfigurations(m).some((voters) =>
    voters.some(({ pod, incarnation }) => pod === m.config.pod && incarnation === m.hardState.incarnation),
  );

/**
 * Those whose word counts: they are named in failover.csv, count still, will when the claim of the open round is there, or hold the Lease, which no replica may take (I4):
 * who has an old disk may know of nobody else, while those that are to go lead still.
 */
export function knownMembers(m: Member): Set<string> {
  const { record } = m.lease;
  const voters = [...activeConfigurations(m), record?.round?.configuration ?? []].flat();
  const known = new Set([...m.order, ...voters.map(({ pod }) => pod), podOfIdentity(record?.holder ?? '')]);
  known.delete('');
  return known;
}

export const isKnown = (m: Member, name: string): boolean => knownMembers(m).has(name);

/** Members, this one included, that report this very promise. */
export function standingsUnder(m: Member, epoch: Epoch): Standing[] {
  const { pod } = m.config;
  const own = { from: pod, incarnation: m.hardState.incarnation, round: Number.MAX_SAFE_INTEGER, ...m.durable };
  return [own, ...[...m.peers.values()].map(({ report }) => report)]
    .filter(({ promise }) => sameEpoch(promise, epoch))
    .map(({ from, incarnation, position, round }) => ({
      pod: from,
      incarnation,
      index: m.log.holds(position) ? position.index : 0,
      round,
    }));
}

/** The value that a majority of each active configuration has reached; 0 when there is none. */
export function reachedByQuorum(m: Member, standings: readonly Standing[], value: (standing: Standing) => number): number {
  const reached = activeConfigurations(m).map((voters) => {
    const values = voters.map(({ pod, incarnation }) => {
      const standing = standings.find((one) => one.pod === pod && one.incarnation === incarnation);
      return standing === undefined ? 0 : value(standing);
    });
    return values.sort((a, b) => b - a)[Math.floor(voters.length / 2)] ?? 0;
  });
  return reached.length === 0 ? 0 : Math.min(...reached);
}

/** Those who are there, by pod and incarnation, are a quorum. */
export function isQuorum(m: Member, present: ReadonlyMap<string, string>): boolean {
  const configurations = activeConfigurations(m);
  return (
    configurations.length > 0 &&
    configurations.every(
      (voters) => voters.filter(({ pod, incarnation }) => present.get(pod) === incarnation).length > Math.floor(voters.length / 2),
    )
  );
}

/** No other is needed. */
export const isQuorumAlone = (m: Member): boolean => isQuorum(m, new Map([[m.config.pod, m.hardState.incarnation]]));
