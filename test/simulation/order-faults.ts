// What people ask for while the cluster runs: another number of members, another pod template, a member that is forced to lead, or simply to lead, one that
// gives its own changes up. The real operator carries it out, or refuses. Also a write of the status that comes between the operator's look and its own.
import { downMs, others, type Act } from './fault-act.ts';
import type { FaultKind } from './swarm.ts';

export type OrderFault = Extract<
  FaultKind,
  'membersChange' | 'rollout' | 'forceStart' | 'forcedAlone' | 'discardLocal' | 'switchOver' | 'statusConflict'
>;

const sizes = [1, 3, 5];
/** A person has seen that a member waits in vain. */
const maxPatienceMs = 2000;

/** The pod, and sometimes another one at the same time. */
function annotate({ world, host, hosts, chance }: Act, order: 'forceStart' | 'discardLocal'): void {
  const { api } = world;
  for (const { pod } of chance.happens(0.3) ? [host, chance.pick(hosts)] : [host]) {
    const orders = api.pods.get(pod)?.orders ?? { forceStart: false, discardLocal: false };
    api.setPod(pod, { orders: { ...orders, [order]: true } });
  }
}

export const orderFaults: { readonly [Kind in OrderFault]: (act: Act) => void } = {
  membersChange: ({ world, chance, statefulSet }) => {
    const before = statefulSet.replicas;
    world.members = chance.pick(sizes);
    world.api.specChanged();
    world.trace.say(world.scheduler.nowMs, '***', `spec.members is ${String(world.members)}, there are ${String(before)} pods`);
  },
  rollout: ({ world, statefulSet }) => {
    statefulSet.revision += 1;
    world.api.specChanged();
  },
  forceStart: (act) => annotate(act, 'forceStart'),
  // The others are away for long, and come back with what they had (K8, K9).
  forcedAlone: (act) => {
    const { world, host, chance } = act;
    if (world.swarm.keepsMajority) return;
    for (const each of [host, ...others(act)]) each.crash('killed', true);
    const backMs = downMs(act);
    host.startAfter(backMs);
    const orderMs = backMs + chance.between(0, maxPatienceMs);
    world.scheduler.later(orderMs, 'annotate', () => annotate(act, 'forceStart'));
    for (const other of others(act)) other.startAfter(orderMs + chance.between(0, 2 * world.swarm.faultLastsMs));
  },
  discardLocal: (act) => annotate(act, 'discardLocal'),
  // Also one that cannot lead, or leads already; and another before the first is done with.
  switchOver: ({ world, hosts, chance }) => {
    world.api.setSwitchoverTo(chance.pick(hosts).pod, null);
  },
  statusConflict: ({ world }) => {
    world.api.statusVersion += 1;
  },
};
