// The shrinker on runs whose cause is known, and the short form of a timeline.
import { describe, expect, test } from '@jest/globals';
import { Chance } from './chance.ts';
import { shrink, type Run } from './shrink.ts';
import type { RunResult } from './simulation.ts';
import { drawSwarm, type FaultKind, type SwarmChanges } from './swarm.ts';
import { shortTimeline } from './timeline.ts';

const kinds: readonly FaultKind[] = ['kill', 'pause', 'partition', 'bitFlip'];

/** Twenty faults of four kinds, a step each and one for each client; what `isCause` says of the faults and changes breaks I2. */
const runOf =
  (isCause: (numbers: readonly number[], result: RunResult) => boolean, tried: SwarmChanges[] = []): Run =>
  async (seed, changes) => {
    tried.push(changes);
    const swarm = drawSwarm(new Chance(seed), changes);
    const all = Array.from({ length: 20 }, (_, number) => ({ number, kind: kinds[number % kinds.length] ?? 'kill' }));
    const injections = all.filter(({ number }) => !swarm.skipped.includes(number));
    const steps = 100 + injections.length + swarm.clients;
    const counts = new Map<string, number>();
    const result = { seed, swarm, violation: null, traceHash: '', steps, simulatedMs: 0, acknowledgedUid: 0, counts, injections };
    const numbers = injections.map(({ number }) => number);
    return isCause(numbers, result) ? { ...result, violation: { invariant: 'I2', message: 'lost', atMs: 1 } } : result;
  };

const enough = 60_000;

describe('a failing run', () => {
  test('is left with the faults that it needs, a calm network, little time and one client', async () => {
    const run = runOf((numbers) => numbers.includes(3) && numbers.includes(14));
    const { changes, result } = await shrink(await run(1, {}), {}, enough, run);
    expect(result.violation?.invariant).toBe('I2');
    expect(result.injections.map(({ number }) => number)).toEqual([3, 14]);
    expect(changes).toMatchObject({ calmNetwork: true });
    expect(result.swarm.clients).toBe(1);
    expect(changes.faultPhaseMs).toBeLessThan(1000);
    expect(await run(1, changes)).toEqual(result);
  });

  test('keeps what it needs of all else, and what its caller had changed', async () => {
    const clients = 3;
    const run = runOf((numbers, { swarm }) => swarm.network.lossRate > 0 && swarm.clients === clients && numbers.length > 18);
    const seed = Array.from({ length: 100 }, (_, at) => at).find((at) => drawSwarm(new Chance(at), {}).network.lossRate > 0) ?? 0;
    const { changes, result } = await shrink(await run(seed, { clients }), { clients }, enough, run);
    expect(result.injections).toHaveLength(19);
    expect(changes).toMatchObject({ clients });
    expect(changes.calmNetwork).toBeUndefined();
  });

  test('is not taken for one that breaks something else', async () => {
    const run = runOf(() => true);
    const other: Run = async (seed, changes) => ({ ...(await run(seed, changes)), violation: { invariant: 'I5', message: '', atMs: 1 } });
    expect((await shrink(await run(1, {}), {}, enough, other)).changes).toEqual({});
  });

  test('is looked into no longer than the limit says', async () => {
    const tried: SwarmChanges[] = [];
    const run = runOf(() => true, tried);
    await shrink(await run(1, {}), {}, 0, run);
    expect(tried).toHaveLength(1);
  });
});

describe('a short timeline', () => {
  test('leaves clients, the stream and fields out, and begins where it is not too long', () => {
    const lines = [
      '   1.0000 client-0     UID 1 is acknowledged by trading-0',
      '   1.0000 stream       has at 1 1 of epoch 0.1 (6af9b5bb)',
      '   1.0000 trading-0    leads {"epoch":1}',
      '   1.0000 ***          3: kill trading-0',
    ];
    expect(shortTimeline(lines)).toEqual(['   1.0000 trading-0    leads', '   1.0000 ***          3: kill trading-0']);
    const long = shortTimeline(Array.from({ length: 1000 }, (_, at) => `   1.0000 operator     look ${String(at)}`));
    expect(long.length).toBeLessThan(100);
    expect([long[0], long.at(-1)]).toEqual(['... 920 lines before', '   1.0000 operator     look 999']);
  });
});
