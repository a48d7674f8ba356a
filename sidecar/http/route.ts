// What a route is: method and path, who may call it, what it takes and answers, and what it does.
// The server registers from this table and openapi.ts describes it, so that the two cannot differ.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Access } from './access.ts';

export const jsonType = 'application/json';
export const ndjsonType = 'application/x-ndjson';
export const eventStreamType = 'text/event-stream';

interface Answer {
  readonly description: string;
  /** `application/json` when there is a schema and nothing else is said. */
  readonly type?: string;
  readonly schema?: z.ZodType;
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As OpenAPI writes it; `{id}` is one part of the path, and `{key}`, its rest, may stand at the end. */
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** Schema of the body by content type. */
  readonly body?: Readonly<Record<string, z.ZodType>>;
  /** By status. Refusals are problem documents and not listed. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Never ends by itself: there is no HEAD for it. */
  readonly isStream?: boolean;
  readonly handler: (request: FastifyRequest, reply: FastifyReply) => unknown;
}
