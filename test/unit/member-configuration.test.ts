// Who counts changes step by step (ADR 10): stories of a MemberWorld.
import { describe, expect, test } from '@jest/globals';
import { configurationsInLog } from '../../sidecar/core/quorum.ts';
import { running, write } from '../lib/member-stories.ts';
import type { MemberWorld } from '../lib/member-world.ts';

const voters = (world: MemberWorld, pod: string) => world.member(pod).log.configurations.at(-1)?.voters ?? [];
const incarnation = (world: MemberWorld, pod: string): string => world.node(pod).hardState.incarnation;

describe('the configuration', () => {
  test.each([
    [3, 5],
    [5, 3],
    [1, 3],
    [3, 1],
  ])('goes from %s to %s members step by step, with writes all the time', (from, to) => {
    const world = running(from);
    write(world, 3);
    world.resize(to);
    const pods = Array.from({ length: to }, (_, at) => `m-${String(at)}`);
    world.until(
      'all count',
      () =>
        voters(world, world.leader() ?? 'm-0')
          .map(({ pod }) => pod)
          .sort()
          .join() === pods.join(),
    );
    world.until(
      'the log alone tells it',
      () => new Set(configurationsInLog(world.member(world.leader() ?? 'm-0')).flatMap((disks) => disks.map(({ pod }) => pod))).size === to,
    );
    write(world, 3);
    const sizes = new Set(world.stream.flat().flatMap(({ configuration }) => configuration?.length ?? []));
    expect([...sizes].sort()).toEqual(Array.from({ length: Math.abs(to - from) + 1 }, (_, at) => Math.min(from, to) + at));
  });

  test('keeps a member that is to go until the one that is to stay has come', () => {
    const world = running();
    world.crash('m-0');
    world.until('another leads', () => world.leader() !== null && world.leader() !== 'm-0');
    const leader = (): string => world.leader() ?? 'nobody';
    // failover.csv names m-0 alone.
    world.resize(1);
    world.crash('m-0');
    world.run(5000);
    write(world, 3);
    expect(voters(world, leader()).map(({ pod }) => pod)).toEqual(['m-0', 'm-1', 'm-2']);
    world.start('m-0');
    world.until('m-0 alone counts', () => voters(world, 'm-0').length === 1);
    expect(voters(world, 'm-0')).toEqual([{ pod: 'm-0', incarnation: incarnation(world, 'm-0') }]);
  });

  test('lets first go who is not there any more: without a majority in reach no step is acknowledged', () => {
    const world = running();
    world.crash('m-2');
    world.run(3000);
    world.name(['m-0']);
    world.until('m-0 alone counts', () => voters(world, 'm-0').length === 1);
    write(world, 3);
  });

  test.each([
    [1, ['m-5']],
    [3, ['m-0', 'm-5', 'm-6']],
  ])('of %s never goes below the size that is wanted, nor to nobody, while those are not there that are named', (size, named) => {
    const world = running(size);
    world.name(named);
    world.run(5000);
    write(world, 3);
    expect(voters(world, 'm-0')).toHaveLength(size);
  });

  test('is written twice, so that the log alone tells it, and then nothing more while nobody writes', () => {
    const world = running();
    world.node('m-2').loseDisk();
    world.start('m-2');
    const current = () => voters(world, 'm-0').map((voter) => voter.incarnation);
    world.until('the new disk counts', () => current().includes(incarnation(world, 'm-2')));
    world.run(2000);
    const { length } = world.member('m-0').log;
    world.run(20_000);
    expect(world.member('m-0').log.length).toBe(length);
    expect(configurationsInLog(world.member('m-0'))).toEqual([voters(world, 'm-0')]);
  });

  test('is acknowledged by a majority of the old and of the new (I2)', () => {
    const world = running(3);
    world.resize(4);
    world.start('m-3');
    world.until('m-3 is in', () => voters(world, 'm-0').length === 4);
    // Of four, three are needed.
    world.until('acknowledged', () => world.member('m-0').acknowledgedIndex === world.member('m-0').log.length);
    world.crash('m-2');
    world.crash('m-3');
    const answer = world.submit(world.leader() ?? 'm-0', 'key', 'value');
    world.run(3000);
    expect(answer()?.kind).not.toBe('committed');
  });
});
