// /v1/changes: submit changes, one or many on a connection, and read the log as NDJSON.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { changeSchema, type Change } from '../core/frame.ts';
import type { Bounds } from './bounds.ts';
import { BulkExchange } from './bulk.ts';
import { limitLifetime } from './exchange-lifetime.ts';
import { idempotencyHeaders, idempotencyKeyOf, parseChange, parseJson, readQuery, wholeNumberOr } from './parse.ts';
import { explain, problemOf, problemSchema } from './problem.ts';
import type { ControlProcess, LoggedChange } from './process.ts';
import { jsonType, ndjsonType, type Route } from './route.ts';
import { receiptSchema } from './state-routes.ts';

const bodySchema = changeSchema.meta({ id: 'Change' });

export const loggedChangeSchema = changeSchema
  .extend({ uid: z.int().min(1), epoch: z.int().min(0), timeMs: z.int().describe("The leader's clock, in milliseconds since 1970.") })
  .meta({ id: 'LoggedChange' });

export interface ChangeRouteOptions {
  readonly process: ControlProcess;
  readonly logger: Logger;
  readonly bounds: Bounds;
  /** Ends each NDJSON exchange that is under way. */
  readonly exchanges: Set<() => void>;
}

/** The change of a JSON body; its idempotency key may stand in the header instead. */
function changeOf(request: FastifyRequest): Change {
  if (request.body === undefined) throw new AppError('invalid_request', 'The body is empty; it holds a change, as JSON.');
  const change = parseChange(request.body);
  const key = idempotencyKeyOf(request);
  if (key === undefined) return change;
  if (change.idempotencyKey !== undefined && change.idempotencyKey !== key)
    throw new AppError('invalid_request', 'The idempotency keys of header and body differ.');
  return { ...change, idempotencyKey: key };
}

function exchangeMany(source: Readable, reply: FastifyReply, { process, logger, bounds, exchanges }: ChangeRouteOptions): void {
  const refuse = (error: unknown): string => JSON.stringify(problemOf(explain(error, logger)));
  reply.hijack();
  const sink = reply.raw;
  // The connection is not used again: whoever ends early could not tell where the next request begins.
  sink.writeHead(200, { 'content-type': ndjsonType, connection: 'close' });
  sink.flushHeaders();
  const exchange = new BulkExchange({
    source,
    sink,
    refuse,
    bounds,
    submit: async (line) => {
      try {
        return JSON.stringify(await process.submit(parseChange(parseJson(line, bounds.nestingDepth))));
      } catch (error) {
        return refuse(error);
      }
    },
  });
  limitLifetime(sink, exchanges, bounds, exchange.stop);
}

/** The log from `page` on, `limit` changes at most, as NDJSON text. Pages are asked for only as the caller reads. */
async function* renderLog(
  process: ControlProcess,
  first: readonly LoggedChange[],
  limit: number,
  pageSize: number,
): AsyncGenerator<string> {
  let left = limit;
  for (let page = first; page.length > 0;) {
    left -= page.length;
    for (const change of page) yield `${JSON.stringify(change)}\n`;
    const last = page.at(-1);
    if (last === undefined || left <= 0) return;
    page = await process.changes(last.uid + 1, Math.min(left, pageSize));
  }
}

const submitRoute = (options: ChangeRouteOptions): Route => ({
  method: 'POST',
  path: '/v1/changes',
  access: 'write',
  summary: 'Submit one change (JSON), or many on one connection (NDJSON: one change a line, one answer a line, in order).',
  headers: idempotencyHeaders,
  body: { [jsonType]: bodySchema, [ndjsonType]: bodySchema },
  answers: {
    200: {
      description: 'One change: it was known by its idempotency key. NDJSON: a receipt or a problem document a line.',
      schema: z.union([receiptSchema, problemSchema]),
    },
    201: { description: 'The change is part of the log.', schema: receiptSchema },
  },
  handler: async (request, reply) => {
    if (request.body instanceof Readable) {
      if (idempotencyKeyOf(request) !== undefined)
        throw new AppError('invalid_request', 'The Idempotency-Key header is for one change; in NDJSON each line has its own.');
      exchangeMany(request.body, reply, options);
      return reply;
    }
    const receipt = await options.process.submit(changeOf(request));
    return reply.code(receipt.duplicate ? 200 : 201).send(receipt);
  },
});

export function changeRoutes(options: ChangeRouteOptions): Route[] {
  const { process, bounds } = options;
  const logQuery = z.strictObject({
    fromUid: wholeNumberOr(1, 1, Number.MAX_SAFE_INTEGER),
    limit: wholeNumberOr(bounds.changesLimit, 1, bounds.changesMaxLimit),
  });
  return [
    submitRoute(options),
    {
      method: 'GET',
      path: '/v1/changes',
      access: 'read',
      summary: 'The acknowledged log from a UID on, one change a line. 410 when it no longer reaches back that far.',
      query: logQuery,
      answers: { 200: { description: 'Empty at the end of the log.', type: ndjsonType, schema: loggedChangeSchema } },
      handler: async (request, reply) => {
        const { fromUid, limit } = readQuery(request, logQuery);
        // Before the headers, so that a refusal can still be a status.
        const first = await process.changes(fromUid, Math.min(limit, bounds.changesPage));
        return reply.type(ndjsonType).send(Readable.from(renderLog(process, first, limit, bounds.changesPage)));
      },
    },
  ];
}
