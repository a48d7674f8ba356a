// Random sequences of steps, reads and restarts: the journal is always what a plain list would be.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Frame } from '../../sidecar/core/frame.ts';
import { epochOf, framesAfter, logged, promised } from '../lib/sample-frames.ts';
import { VolatileDisk } from '../lib/volatile-disk.ts';
import { openOn } from '../lib/volatile-journal.ts';

const action = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 0, max: 8 }), wait: fc.boolean() }),
  fc.record({
    kind: fc.constant('rewind' as const),
    keep: fc.double({ min: 0, max: 1, noNaN: true }),
    count: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({ kind: fc.constant('promise' as const), number: fc.nat({ max: 99 }) }),
  fc.record({
    kind: fc.constant('read' as const),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    bytes: fc.integer({ min: 1, max: 6000 }),
  }),
  fc.record({ kind: fc.constant('reopen' as const) }),
);

describe('random steps', () => {
  test('leave the same log, promise and archives as a list would, and after a restart too (I5)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const disk = new VolatileDisk();
        let { journal } = await openOn(disk);
        let model: Frame[] = [];
        let promise = journal.hardState.promise;
        const archived = new Set<string>();
        for (const [at, each] of actions.entries()) {
          const step = framesAfter(model.at(-1) ?? null, each.kind === 'append' ? each.count : 0, String(at));
          if (each.kind === 'append') {
            const written = journal.write({ frames: logged(step) });
            if (each.wait) await written;
            model = [...model, ...step];
          } else if (each.kind === 'rewind') {
            const keep = Math.floor(each.keep * model.length);
            const frames = framesAfter(model[keep - 1] ?? null, each.count, String(at));
            const tail = await journal.write({ truncateTo: keep, frames: logged(frames) });
            expect(tail?.changes ?? 0).toBe(model.length - keep);
            if (tail !== null) archived.add(tail.id);
            model = [...model.slice(0, keep), ...frames];
          } else if (each.kind === 'promise') {
            promise = epochOf(each.number, String(at));
            await journal.write({ hardState: promised(promise) });
          } else if (each.kind === 'read') {
            await journal.write({});
            const from = 1 + Math.floor(each.from * model.length);
            const read = await journal.read(from, each.bytes);
            expect(read).toEqual(logged(model.slice(from - 1, from - 1 + read.length)));
            expect(read.length).toBeGreaterThanOrEqual(Math.min(1, model.length + 1 - from));
          } else {
            await journal.close();
            const again = await openOn(disk);
            journal = again.journal;
            expect(again.hashes).toEqual(model.map(({ hash }) => hash));
          }
        }
        await journal.close();
        const last = await openOn(disk);
        expect(last.hashes).toEqual(model.map(({ hash }) => hash));
        expect(last.journal.hardState.promise).toEqual(promise);
        expect(new Set((await last.journal.archives()).map(({ id }) => id))).toEqual(archived);
        expect(last.said).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});
