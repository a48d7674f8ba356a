// The operator of a simulation: its real `plan` on what the simulated API server shows, its writes as requests that take their time.
// It keeps nothing but ages, as the real one; a new process begins without them. Kubernetes objects are not simulated: it wants none.
import { annotations, isDrPod, memberPodName } from '../../common/names.ts';
import type { ControlCluster } from '../../common/schema.ts';
import { keptMembers } from '../../operator/core/kept-members.ts';
import type { ObservedLease, Observed } from '../../operator/core/observed.ts';
import { plan, type Action } from '../../operator/core/plan.ts';
import { controlCluster } from '../lib/control-cluster.ts';
import { wallEpochMs } from './api-server.ts';
import type { StatefulSet } from './stateful-set.ts';
import { clusterName, count, type World } from './world.ts';

const lookAgainMs = 2000;
const noticeMs = 150;

interface Sighting {
  readonly sign: string;
  readonly atMs: number;
  readonly proven: boolean;
}

/** Parsing a specification is slow, and it is the same in many runs. */
const clusters = new Map<string, ControlCluster>();
function clusterOf(world: World): ControlCluster {
  const { members } = world;
  const { replicas, startupPolicy, timings } = world.swarm;
  const name = JSON.stringify([members, replicas, startupPolicy, timings]);
  const known = clusters.get(name);
  if (known !== undefined) return known;
  const spec = {
    members,
    disasterRecovery: { replicas },
    startup: { policy: startupPolicy, timeout: '5s' },
    election: {
      leaseDuration: `${String(timings.leaseDurationMs)}ms`,
      renewDeadline: `${String(timings.renewDeadlineMs)}ms`,
      retryPeriod: `${String(timings.retryPeriodMs)}ms`,
    },
  };
  const made = controlCluster(spec, { name: clusterName, generation: 1, creationTimestamp: new Date(wallEpochMs).toISOString() });
  clusters.set(name, made);
  return made;
}

export class SimulatedOperator {
  readonly #world: World;
  #life = { dead: true };
  #seen = new Map<string, Sighting>();
  #statusWrittenMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #dueAtMs = Number.POSITIVE_INFINITY;

  readonly #statefulSet: StatefulSet;

  constructor(world: World, statefulSet: StatefulSet) {
    this.#world = world;
    this.#statefulSet = statefulSet;
    world.api.watch(
      () => {
        this.#lookAfter(noticeMs);
      },
      (pod) => {
        // Until then nobody knows that somebody writes it now, so that it is news.
        if (this.#seen.get(pod)?.proven !== true) this.#lookAfter(noticeMs);
      },
    );
  }

  start(): void {
    if (!this.#life.dead) return;
    this.#life = { dead: false };
    this.#seen = new Map();
    this.#statusWrittenMs = this.#askedMs = Number.NEGATIVE_INFINITY;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#lookAfter(noticeMs);
  }

  /** What it has asked for may still be carried out. */
  kill(): void {
    this.#life.dead = true;
  }

  #lookAfter(patienceMs: number): void {
    const { scheduler } = this.#world;
    const delayMs = Math.max(patienceMs, noticeMs);
    const atMs = scheduler.nowMs + delayMs;
    if (this.#life.dead || this.#dueAtMs <= atMs) return;
    this.#dueAtMs = atMs;
    const life = this.#life;
    scheduler.after(delayMs, 'operator', { life }, () => {
      // A look that is due earlier came instead.
      if (this.#dueAtMs !== atMs) return;
      this.#dueAtMs = Number.POSITIVE_INFINITY;
      this.#look();
      this.#lookAfter(lookAgainMs);
    });
  }

  #look(): void {
    if (this.#world.api.away) return;
    const version = this.#world.api.statusVersion;
    const observed = this.#observe();
    for (const action of plan(observed)) this.#carryOut(action, version);
    this.#applyMembers(observed);
  }

  /** Of the objects that the operator applies these alone matter here: failover.csv, the StatefulSet, and Leases that are surplus. */
  #applyMembers({ cluster, keptMembers: kept }: Observed): void {
    const { api, scheduler, order } = this.#world;
    const { members } = cluster.spec;
    if (kept === this.#statefulSet.replicas && members === order.length) return;
    scheduler.later(api.delayMs(), 'applyMembers', () => {
      if (api.away) return;
      if (members !== this.#world.order.length)
        this.#world.order = Array.from({ length: members }, (_, ordinal) => memberPodName(clusterName, ordinal));
      this.#statefulSet.scale(kept);
      for (const pod of api.memberLeases.keys())
        if (!isDrPod(clusterName, pod) && Number(/\d+$/.exec(pod)?.[0]) >= kept) api.deleteMemberLease(pod);
    });
  }

  #carryOut(action: Action, statusVersion: number): void {
    const { api, scheduler, trace } = this.#world;
    const request = (kind: string, run: () => void): void => {
      scheduler.later(api.delayMs(), kind, () => {
        if (!api.away) run();
      });
    };
    switch (action.kind) {
      case 'writeStatus':
        this.#statusWrittenMs = scheduler.nowMs;
        return request('writeStatus', () => {
          if (!api.writeStatus(action.status, statusVersion)) this.#lookAfter(noticeMs);
        });
      case 'openRound':
        return request('openRound', () => {
          if (!api.freeLease(action.lease.resourceVersion, action.round)) return;
          count(this.#world, `operator: openRound ${action.round.claim}`);
          if (action.round.claim === 'forced') this.#world.oracles.losses.forced(action.round.generation);
          trace.say(scheduler.nowMs, 'operator', `opens round ${String(action.round.number)}: ${action.round.designated}`);
        });
      case 'clearLease':
        return request('clearLease', () => {
          if (!api.freeLease(action.lease.resourceVersion, null)) return;
          count(this.#world, 'operator: clearLease');
          trace.say(scheduler.nowMs, 'operator', `clears the Lease: ${action.event.message}`);
        });
      case 'unlabelLeader':
        return request('unlabelLeader', () => {
          api.setPod(action.pod, { labelledLeader: false });
        });
      case 'consumeOrder':
        return request('consumeOrder', () => {
          count(this.#world, `operator: ${action.event.reason}`);
          trace.say(scheduler.nowMs, 'operator', action.event.message);
          const pod = api.pods.get(action.pod);
          if (pod?.uid !== action.podUid) return;
          const order = action.annotation === annotations.forceStart ? 'forceStart' : 'discardLocal';
          api.setPod(action.pod, { orders: { ...pod.orders, [order]: false } });
        });
      case 'tellToDiscard':
        return request('tellToDiscard', () => {
          api.tellMember(action.lease.name, { discard: action.session });
        });
      case 'tellToSwitchOver':
        return request('tellToSwitchOver', () => {
          count(this.#world, `operator: ${action.event.reason}`);
          trace.say(scheduler.nowMs, 'operator', action.event.message);
          api.tellMember(action.lease.name, { switchover: action.switchover });
        });
      case 'forgetSwitchover':
        return request('forgetSwitchover', () => {
          api.tellMember(action.lease.name, { switchover: null });
        });
      case 'consumeSwitchover':
        return request('consumeSwitchover', () => {
          if (!api.setSwitchoverTo(null, statusVersion)) return this.#lookAfter(noticeMs);
          count(this.#world, `operator: ${action.event.reason}`);
          trace.say(scheduler.nowMs, 'operator', action.event.message);
        });
      case 'askWhy':
        this.#askedMs = scheduler.nowMs;
        return;
      case 'planAgain':
        return this.#lookAfter(action.afterMs);
      case 'deletePod':
        return request('deletePod', () => {
          this.#statefulSet.deletePod(action.pod, action.podUid);
        });
      // Events are for people; objects are not simulated.
      case 'recordEvent':
      case 'applyObject':
      case 'deleteObject':
        return;
    }
  }

  #observe(): Observed {
    const { api, scheduler, chance, swarm } = this.#world;
    const { nowMs } = scheduler;
    const member = (name: string): ObservedLease => {
      const lease = api.memberLeases.get(name);
      const report = lease?.report ?? null;
      const { discard = null, switchover = null } = lease ?? {};
      return { ...this.#lease(name, String(lease?.renewal ?? 0)), report, discard, switchover };
    };
    const sets = swarm.replicas > 0 ? [clusterName, `${clusterName}-dr`] : [clusterName];
    const specified = clusterOf(this.#world);
    const notes = api.switchoverTo === null ? {} : { [annotations.switchoverTo]: api.switchoverTo };
    const cluster = { ...specified, metadata: { ...specified.metadata, annotations: notes }, status: api.status };
    const memberLeases = [...api.memberLeases.keys()].map(member);
    return {
      cluster,
      keptMembers: keptMembers(cluster, memberLeases, this.#statefulSet.replicas),
      nowMs: wallEpochMs + nowMs,
      freshId: `cluster-${chance.nonce()}`,
      desired: { kind: 'objects', objects: [] },
      warnings: [],
      memberSelector: 'selector',
      live: new Map(),
      appliedAgoMs: new Map(),
      refusals: new Map(),
      pods: [...api.pods.values()],
      statefulSets: sets.map((name) => ({ name, updateRevision: this.#statefulSet.updateRevision })),
      leaderLease: {
        ...this.#lease(`${clusterName}-leader`, `${api.lease.holder}/${String(api.renewal)}`),
        resourceVersion: api.lease.version,
        holder: api.lease.holder,
        acquiredAtMs: api.acquiredAtMs,
        round: api.lease.round,
      },
      memberLeases,
      statusAgeMs: nowMs - this.#statusWrittenMs,
      askedAgoMs: nowMs - this.#askedMs,
      answers: new Map(),
    };
  }

  /** Its age since this process saw it change, as the real clock of Leases has it. */
  #lease(name: string, sign: string): ObservedLease {
    const { nowMs } = this.#world.scheduler;
    const before = this.#seen.get(name);
    const sighting = before?.sign === sign ? before : { sign, atMs: nowMs, proven: before !== undefined };
    this.#seen.set(name, sighting);
    const age = { ageMs: nowMs - sighting.atMs, proven: sighting.proven };
    const empty = { round: null, report: null, waiting: null, discard: null, switchover: null };
    return { name, resourceVersion: sign, holder: '', acquiredAtMs: null, ...age, ...empty };
  }
}
