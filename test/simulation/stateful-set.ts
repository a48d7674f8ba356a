// The StatefulSet of the members as its controller keeps it (podManagementPolicy Parallel, OnDelete): pods are made for the ordinals below `replicas`,
// surplus ones and deleted ones end in order, with their preStop hook. It keeps volumes, unless a person
// removes those of surplus pods by hand.
import { memberPodName } from '../../common/names.ts';
import type { Host } from './host.ts';
import { count, type World } from './world.ts';

const noticeMs = 500;

export class StatefulSet {
  /** Of the template: pods that are made from now on have it. */
  revision = 1;
  replicas: number;
  readonly #world: World;
  readonly #cluster: string;
  readonly #hostOf: (pod: string) => Host;

  /** `hostOf` finds the machine of a pod, or makes one. */
  constructor(world: World, cluster: string, hostOf: (pod: string) => Host) {
    this.#world = world;
    this.#cluster = cluster;
    this.#hostOf = hostOf;
    this.replicas = world.order.length;
  }

  get updateRevision(): string {
    return `r${String(this.revision)}`;
  }

  scale(replicas: number): void {
    if (replicas === this.replicas) return;
    count(this.#world, `StatefulSet: ${String(this.replicas)} -> ${String(replicas)}`);
    this.replicas = replicas;
    this.#lookSoon();
  }

  /** `uid` names the very pod. */
  deletePod(pod: string, uid: string): void {
    const host = this.#world.hosts.find((each) => each.pod === pod && each.podUid === uid);
    if (host?.wanted !== true) return;
    count(this.#world, 'StatefulSet: pod deleted');
    this.#hostOf(pod).terminate(() => this.#lookSoon());
  }

  #lookSoon(): void {
    const { scheduler, chance } = this.#world;
    scheduler.later(chance.between(1, noticeMs), 'statefulSet', () => this.#look());
  }

  #look(): void {
    const { hosts, api } = this.#world;
    for (let ordinal = 0; ordinal < this.replicas; ordinal += 1) this.#makePod(memberPodName(this.#cluster, ordinal));
    for (const { pod, kind, wanted } of hosts) {
      if (kind === 'dr' && !api.pods.has(pod)) this.#makePod(pod);
      const isSurplus = kind === 'member' && Number(/\d+$/.exec(pod)?.[0]) >= this.replicas;
      if (isSurplus && wanted) this.#remove(this.#hostOf(pod));
    }
  }

  #remove(host: Host): void {
    host.terminate(() => {
      if (this.#world.swarm.volumesGo) host.loseVolume(null);
      this.#lookSoon();
    });
  }

  #makePod(pod: string): void {
    const { api, chance } = this.#world;
    if (api.pods.has(pod)) return;
    const host = this.#hostOf(pod);
    host.replacePod(this.updateRevision);
    host.startAfter(chance.between(0, noticeMs));
  }
}
