// Random sequences of steps, checkpoints, compactions, reads and restarts: the journal is always what a plain list would be.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Frame } from '../../sidecar/core/frame.ts';
import { epochOf, framesAfter, promised } from '../lib/sample-frames.ts';
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
  fc.record({ kind: fc.constant('checkpoint' as const), at: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant('compact' as const) }),
  fc.record({ kind: fc.constant('reopen' as const) }),
);

describe('random steps', () => {
  test('leave the same log, promise and archives as a list would, and after a restart too (I5)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const disk = new VolatileDisk();
        let { journal } = await openOn(disk);
        let model: Frame[] = [];
        let promise = journal.hardState.promise;
        let checkpoints: number[] = [];
        /** Frames up to here may be gone. */
        let compactable = 0;
        const held = (): Frame[] => model.slice(journal.base.position.index);
        const archived = new Set<string>();
        for (const [at, each] of actions.entries()) {
          const step = framesAfter(model.at(-1) ?? null, each.kind === 'append' ? each.count : 0, String(at));
          if (each.kind === 'append') {
            const written = journal.write({ frames: step });
            if (each.wait) await written;
            model = [...model, ...step];
          } else if (each.kind === 'rewind') {
            // A compacted log has no state before its first checkpoint.
            const lowest = journal.base.position.index === 0 ? 0 : (checkpoints[0] ?? 0);
            const keep = lowest + Math.floor(each.keep * (model.length - lowest));
            const frames = framesAfter(model[keep - 1] ?? null, each.count, String(at));
            const tail = await journal.write({ truncateTo: keep, frames });
            expect(tail?.changes ?? 0).toBe(model.length - keep);
            if (tail !== null) archived.add(tail.id);
            model = [...model.slice(0, keep), ...frames];
            checkpoints = checkpoints.filter((index) => index <= keep);
          } else if (each.kind === 'promise') {
            promise = epochOf(each.number, String(at));
            await journal.write({ hardState: promised(promise) });
          } else if (each.kind === 'read') {
            await journal.write({});
            const base = journal.base.position.index;
            const from = base + 1 + Math.floor(each.from * (model.length - base));
            const read = await journal.read(from, each.bytes);
            expect(read).toEqual(model.slice(from - 1, from - 1 + read.length));
            expect(read.length).toBeGreaterThanOrEqual(Math.min(1, model.length + 1 - from));
          } else if (each.kind === 'checkpoint') {
            await journal.write({});
            const index = Math.floor(each.at * model.length);
            if (index === 0) continue;
            if (index > (checkpoints.at(-1) ?? 0)) checkpoints = [...checkpoints, index].slice(-2);
            const { position } = await journal.makeCheckpoint(index);
            expect([position.index, position.hash]).toEqual([checkpoints.at(-1), model[position.index - 1]?.hash]);
          } else if (each.kind === 'compact') {
            if (checkpoints.length === 2) compactable = Math.max(compactable, checkpoints[0] ?? 0);
            expect(await journal.compact()).toBeLessThanOrEqual(compactable + 1);
          } else {
            await journal.close();
            const again = await openOn(disk);
            journal = again.journal;
            expect(again.hashes).toEqual(held().map(({ hash }) => hash));
            expect(journal.checkpoint?.position.index).toBe(checkpoints.at(-1));
          }
        }
        await journal.close();
        const last = await openOn(disk);
        journal = last.journal;
        expect(last.hashes).toEqual(held().map(({ hash }) => hash));
        expect(journal.base.position.hash).toBe(model[journal.base.position.index - 1]?.hash ?? '');
        expect(last.journal.hardState.promise).toEqual(promise);
        expect(new Set((await last.journal.archives()).map(({ id }) => id))).toEqual(archived);
        expect(last.said).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});
