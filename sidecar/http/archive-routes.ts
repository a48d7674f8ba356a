// /v1/archives: what this member keeps of what it discarded, and the replay of a tail: each of its changes submitted again, in order, as a new change.
// One at a time, and none behind one that got no answer: a later change never takes the place of an earlier. What was made before an end is not made again
// by the next call, as each change has an idempotency key.
import { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { z } from 'zod';
import { AppError, type ErrorCode } from '../../common/errors.ts';
import type { Bounds } from './bounds.ts';
import { limitLifetime } from './exchange-lifetime.ts';
import { explain, problemOf, problemSchema } from './problem.ts';
import type { ControlProcess } from './process.ts';
import { ndjsonType, type Route } from './route.ts';
import { receiptSchema } from './state-routes.ts';

const uid = z.int().min(0);
const sha256 = z.string();

const archivesSchema = z
  .strictObject({
    archives: z.array(
      z.discriminatedUnion('kind', [
        z
          .strictObject({ kind: z.literal('diverged'), id: z.string(), firstUid: uid, lastUid: uid, changes: z.int().min(0), sha256 })
          .describe('Changes that this member discarded.'),
        z
          .strictObject({ kind: z.enum(['copy', 'state']), id: z.string(), timeMs: z.int(), uid, sha256 })
          .describe(
            'A compressed copy of the state, or the state that was discarded with a log that had parted below what it had compacted.',
          ),
      ]),
    ),
  })
  .meta({ id: 'Archives' });

const count = z.int().min(0);
const archivedUid = z.int().min(1).describe('UID that the change had in the log that was discarded.');
const replayLineSchema = z
  .discriminatedUnion('kind', [
    receiptSchema.extend({ kind: z.literal('submitted'), archivedUid }).describe('It is a change of the log.'),
    z
      .strictObject({ kind: z.literal('refused'), archivedUid, problem: problemSchema })
      .describe('Judged anew, it is refused; the next ones go on.'),
    z
      .strictObject({ kind: z.literal('stopped'), problem: problemSchema })
      .describe('The last line: no more was submitted. Call it again, and it goes on.'),
    z
      .strictObject({ kind: z.literal('done'), submitted: count, duplicates: count, refused: count })
      .describe('The last line: all changes were submitted; `duplicates` were in the log already.'),
  ])
  .meta({ id: 'ReplayLine' });
type ReplayLine = z.infer<typeof replayLineSchema>;

/** Refusals that are about the change, so that those behind it may go on. */
const ofTheChange = new Set<ErrorCode>(['conflict', 'change_too_large']);

/** Throws AppError what keeps it from going on. */
async function* replay(process: ControlProcess, id: string, logger: Logger, ended: AbortSignal): AsyncGenerator<ReplayLine, void> {
  const counts = { submitted: 0, duplicates: 0, refused: 0 };
  for await (const { uid: archivedUid, change } of process.archivedChanges(id)) {
    if (ended.aborted) throw new AppError('stopping', 'This member ends the replay.');
    let line: ReplayLine;
    try {
      const receipt = await process.submit(change);
      counts[receipt.duplicate ? 'duplicates' : 'submitted'] += 1;
      line = { kind: 'submitted', archivedUid, ...receipt };
    } catch (error) {
      const known = explain(error, logger);
      if (!ofTheChange.has(known.code)) throw known;
      counts.refused += 1;
      line = { kind: 'refused', archivedUid, problem: problemOf(known) };
    }
    yield line;
  }
  yield { kind: 'done', ...counts };
}

async function* render(first: IteratorResult<ReplayLine>, rest: AsyncGenerator<ReplayLine>, logger: Logger): AsyncGenerator<string> {
  const text = (line: ReplayLine): string => `${JSON.stringify(line)}\n`;
  if (first.done !== true) yield text(first.value);
  try {
    for await (const line of rest) yield text(line);
  } catch (error) {
    yield text({ kind: 'stopped', problem: problemOf(explain(error, logger)) });
  }
}

export interface ArchiveRouteOptions {
  readonly process: ControlProcess;
  readonly logger: Logger;
  readonly bounds: Bounds;
  /** Ends each exchange that is under way. */
  readonly exchanges: Set<() => void>;
}

export function archiveRoutes({ process, logger, bounds, exchanges }: ArchiveRouteOptions): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/archives',
      access: 'read',
      summary: 'Tails of the log that this member discarded and keeps (I5), and copies.',
      answers: { 200: { description: 'The archives.', schema: archivesSchema } },
      handler: async (_request, reply) => reply.send({ archives: await process.archives() }),
    },
    {
      method: 'POST',
      path: '/v1/archives/{id}/replay',
      access: 'write',
      summary: 'Submits each change of a discarded tail again, in order, as a new change.',
      answers: { 200: { description: 'A line for each change, and one at the end.', type: ndjsonType, schema: replayLineSchema } },
      handler: async (request, reply) => {
        const { id } = request.params as { id: string };
        const ended = new AbortController();
        const lines = replay(process, id, logger, ended.signal);
        limitLifetime(reply.raw, exchanges, bounds, () => ended.abort());
        // Before the headers, so that a refusal can still be a status.
        const first = await lines.next();
        return reply.type(ndjsonType).send(Readable.from(render(first, lines, logger)));
      },
    },
  ];
}
