// How the stories of a MemberWorld begin, and what they have in common.
import type { MemberConfig } from '../../sidecar/core/state.ts';
import { MemberWorld } from './member-world.ts';

/** A cluster that has started: `m-0` leads, all others follow. */
export function running(members = 3, replicas = 0, options: Partial<MemberConfig> = {}): MemberWorld {
  const world = new MemberWorld(members, options, replicas);
  for (const { pod } of world.nodes) world.start(pod);
  world.run(1000);
  world.openRound('m-0');
  world.until('m-0 leads', () => world.leader() === 'm-0');
  world.until('all follow', () => world.nodes.every(({ pod }) => ['Leading', 'Following'].includes(world.phase(pod))));
  return world;
}

/** Through the leader, each change acknowledged. */
export function write(world: MemberWorld, count: number): void {
  const leader = world.leader() ?? '';
  const answers = Array.from({ length: count }, (_, at) => world.submit(leader, `key-${String(at)}`, 'value'));
  world.until('all are acknowledged', () => answers.every((answer) => answer()?.kind === 'committed'));
}

const hashes = (world: MemberWorld): Set<string> => new Set(world.nodes.map(({ pod }) => world.member(pod).log.position().hash));
/** One log everywhere, applied to its end. */
export const agree = (world: MemberWorld): boolean =>
  hashes(world).size === 1 && world.nodes.every(({ pod }) => world.member(pod).store.index === world.member(pod).log.length);
