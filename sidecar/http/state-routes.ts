// /v1/state: the state, one key or many at a time. Reads are local unless asked otherwise, and say their UID; writes are changes of one
// operation. Nothing is cached here.
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import type { Bounds } from './bounds.ts';
import {
  checkKeyPart,
  conditionalHeaders,
  etagOf,
  idempotencyHeaders,
  idempotencyKeyOf,
  keyOf,
  parseChange,
  preconditionsOf,
  readQuery,
  wholeNumber,
  wholeNumberOr,
} from './parse.ts';
import type { ChangeReceipt, Consistency, ControlProcess, StateEntry } from './process.ts';
import { jsonType, type Route } from './route.ts';

const uid = z.int().min(0);

export const receiptSchema = z
  .strictObject({
    uid: uid.describe('UID of the change.'),
    epoch: z.int().min(0),
    duplicate: z.boolean().describe('The idempotency key was known: this is what its first submission was given.'),
  })
  .meta({ id: 'Receipt' });

const entrySchema = z
  .strictObject({ key: z.string(), value: z.json(), uid: uid.describe('UID of the change that wrote it; the ETag.') })
  .meta({ id: 'StateEntry' });
const readUid = uid.describe('Everything up to this UID is in the answer.');

const readQueryShape = {
  consistency: z
    .enum(['local', 'linearizable'])
    .optional()
    .describe('`local` (default): what this member has; `linearizable`: at least every change acknowledged before the request (I9).'),
  minUid: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe('Wait until this member has this UID.'),
};
const readQuerySchema = z.strictObject(readQueryShape);

const listQuerySchema = (bounds: Bounds) =>
  z.strictObject({
    ...readQueryShape,
    prefix: z.string().prefault(''),
    after: z.string().prefault('').describe('Only keys after this one: `next` of the page before.'),
    limit: wholeNumberOr(bounds.listLimit, 1, bounds.listMaxLimit),
  });

function consistencyOf({ consistency, minUid }: z.output<typeof readQuerySchema>): Consistency {
  if (consistency === 'linearizable') {
    if (minUid !== undefined) throw new AppError('invalid_request', 'minUid and consistency=linearizable exclude each other.');
    return { kind: 'linearizable' };
  }
  return minUid === undefined ? { kind: 'local' } : { kind: 'minUid', uid: minUid };
}

/** One page as JSON text: at most `limit` entries, and it ends early at `maxBytes`. */
function renderPage(entries: readonly StateEntry[], read: number, limit: number, maxBytes: number): string {
  const parts: string[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (bytes >= maxBytes) break;
    const text = JSON.stringify(entry);
    bytes += Buffer.byteLength(text);
    parts.push(text);
  }
  const isWhole = parts.length === entries.length && entries.length < limit;
  const next = isWhole ? null : (entries[parts.length - 1]?.key ?? null);
  return `{"entries":[${parts.join(',')}],"next":${JSON.stringify(next)},"readUid":${String(read)}}`;
}

/** Submits one operation on the key of the path. Its preconditions are headers, so that their failure is 412. */
async function submitOne(request: FastifyRequest, process: ControlProcess, key: string, operation: unknown): Promise<ChangeReceipt> {
  const idempotencyKey = idempotencyKeyOf(request);
  const preconditions = preconditionsOf(request, key);
  const change = parseChange({
    operations: [operation],
    ...(preconditions.length > 0 && { preconditions }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  });
  try {
    return await process.submit(change);
  } catch (error) {
    if (error instanceof AppError && error.code === 'conflict') throw new AppError('precondition_failed', error.detail, error);
    throw error;
  }
}

function readRoutes(process: ControlProcess, bounds: Bounds): Route[] {
  const listQuery = listQuerySchema(bounds);
  return [
    {
      method: 'GET',
      path: '/v1/state/{key}',
      access: 'read',
      summary: 'The value of a key.',
      query: readQuerySchema,
      headers: z.object({ 'if-none-match': z.string().optional().describe('An ETag: 304 when the key still has it.') }),
      answers: {
        200: { description: 'The entry; its UID is the ETag too.', schema: entrySchema.extend({ readUid }) },
        304: { description: 'Unchanged.' },
      },
      handler: async (request, reply) => {
        const key = keyOf(request);
        const read = await process.waitFor(consistencyOf(readQuery(request, readQuerySchema)));
        const entry = process.get(key);
        if (entry === undefined) throw new AppError('not_found', `The key does not exist as of UID ${String(read.uid)}.`);
        const etag = etagOf(entry.uid);
        reply.header('etag', etag);
        if (request.headers['if-none-match'] === etag) return reply.code(304).send();
        return reply.send({ ...entry, readUid: read.uid });
      },
    },
    {
      method: 'GET',
      path: '/v1/state',
      access: 'read',
      summary: 'Keys with a prefix and their values, in code-unit order.',
      query: listQuery,
      answers: {
        200: {
          description: 'One page.',
          schema: z.strictObject({
            entries: z.array(entrySchema),
            next: z.string().nullable().describe('`after` of the next page; `null` at the end.'),
            readUid,
          }),
        },
      },
      handler: async (request, reply) => {
        const { prefix, after, limit, ...read } = readQuery(request, listQuery);
        checkKeyPart(prefix, 'prefix');
        checkKeyPart(after, 'value of after');
        const { uid } = await process.waitFor(consistencyOf(read));
        return reply.type(jsonType).send(renderPage(process.list(prefix, limit, after), uid, limit, bounds.listBytes));
      },
    },
  ];
}

function writeRoutes(process: ControlProcess): Route[] {
  const headers = conditionalHeaders.extend(idempotencyHeaders.shape);
  const answers = { 200: { description: 'The change is part of the log. After a PUT its UID is the ETag.', schema: receiptSchema } };
  return [
    {
      method: 'PUT',
      path: '/v1/state/{key}',
      access: 'write',
      summary: 'Set the value of a key: a change of one `put`.',
      headers,
      body: { [jsonType]: z.json() },
      answers,
      handler: async (request, reply) => {
        const key = keyOf(request);
        if (request.body === undefined) throw new AppError('invalid_request', 'The body is empty; it holds the value, as JSON.');
        const receipt = await submitOne(request, process, key, { put: { key, value: request.body } });
        return reply.header('etag', etagOf(receipt.uid)).send(receipt);
      },
    },
    {
      method: 'DELETE',
      path: '/v1/state/{key}',
      access: 'write',
      summary: 'Delete a key: a change of one `delete`. It is no error when the key does not exist.',
      headers,
      answers,
      handler: async (request, reply) => {
        const key = keyOf(request);
        return reply.send(await submitOne(request, process, key, { delete: { key } }));
      },
    },
  ];
}

export const stateRoutes = (process: ControlProcess, bounds: Bounds): Route[] => [...readRoutes(process, bounds), ...writeRoutes(process)];
