// Changing who counts, one step at a time (ADR 10): a member with another disk takes its old place, new members come in, surplus ones go.
// Only a leader asks, and only when the step before is acknowledged. It does not commit anything: that is counted like every other frame.
import { sameVoters, type Configuration, type Voter } from '../../common/configuration.ts';
import { sameEpoch } from '../../common/position.ts';
import { coreLimits } from './limits.ts';
import type { Leader } from './role.ts';
import type { Member } from './state.ts';

const maxVoters = 7;

/** The configuration that is wanted next, or the last once more; `null` when nothing is to be changed, or the last change is still under way. */
export function nextConfiguration(m: Member, leader: Leader): Configuration | null {
  const current = m.log.configurations.at(-1);
  if (current === undefined || current.index > m.acknowledgedIndex || m.order.length === 0) return null;
  if (m.stopping !== null || leader.switchOver !== null) return null;
  const next = nextStep(m, leader, current.voters);
  // Without a majority of those who would count it could not be acknowledged, and all would wait for it.
  if (next !== null) return isMajorityInReach(m, leader, next) ? next : null;
  return leader.queue.length === 0 && isUnknownToLog(m) ? current.voters : null;
}

function nextStep(m: Member, leader: Leader, voters: Configuration): Configuration | null {
  const surplus = surplusOf(m, leader, voters);
  const without = surplus === undefined ? null : voters.filter((voter) => voter !== surplus);
  if (voters.length >= maxVoters && without !== null) return without;
  for (const pod of m.order) {
    const incarnation = incarnationInReach(m, leader, pod);
    const known = voters.find((voter) => voter.pod === pod);
    if (incarnation === null || known?.incarnation === incarnation) continue;
    return known === undefined
      ? [...voters, { pod, incarnation }]
      : voters.map((voter) => (voter === known ? { pod, incarnation } : voter));
  }
  // Who is to go counts until those are in that are to stay: as many disks as are wanted have the log.
  return voters.length > m.order.length ? without : null;
}

/** Who is to go next: whoever is not there any more first, this leader last. */
function surplusOf(m: Member, leader: Leader, voters: Configuration): Voter | undefined {
  const surplus = voters.filter(({ pod }) => !m.order.includes(pod));
  return surplus.find((voter) => !isInReach(m, leader, voter)) ?? surplus.find(({ pod }) => pod !== m.config.pod) ?? surplus[0];
}

const isMajorityInReach = (m: Member, leader: Leader, voters: Configuration): boolean =>
  voters.filter((voter) => isInReach(m, leader, voter)).length > Math.floor(voters.length / 2);

const isInReach = (m: Member, leader: Leader, { pod, incarnation }: Voter): boolean =>
  incarnation === (pod === m.config.pod ? m.hardState.incarnation : incarnationInReach(m, leader, pod));

/** Named as acknowledged by a frame after it, the step is known to whoever starts with the log alone, the member that is gone or not. Once more is enough. */
function isUnknownToLog({ log }: Member): boolean {
  const [before, current] = log.configurations.slice(-2);
  if (before === undefined || current === undefined || current.replaces || current.index <= log.confirmedIndex) return false;
  return !sameVoters(before.voters, current.voters);
}

/** The disk of a member that lives and has caught up under this leader's promise; `null` when it has not. */
function incarnationInReach(m: Member, leader: Leader, pod: string): string | null {
  const peer = m.peers.get(pod);
  if (peer === undefined || m.now.nowMs - peer.heardAtMs > coreLimits.peerFreshMs) return null;
  const { incarnation, promise, position } = peer.report;
  const near = m.log.holds(position) && m.log.length - position.index <= coreLimits.voterLagFrames;
  return incarnation !== '' && sameEpoch(promise, leader.epoch) && near ? incarnation : null;
}
