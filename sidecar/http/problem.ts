// Problem documents (RFC 9457): the one place where a failure becomes an HTTP answer.
// Every refusal has a stable `code` of `errorCatalogue`; nothing of an unexpected failure but its code leaves the process.
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { AppError, errorCatalogue, type ErrorCode } from '../../common/errors.ts';

export const problemType = 'application/problem+json';

const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]];

export const problemSchema = z
  .strictObject({
    type: z.string().describe('`urn:controlcluster:problem:` and the code.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('One sentence on this occurrence.'),
    code: z.enum(errorCodes),
    remedy: z.string().describe('What the caller can do.'),
    retryable: z.boolean().describe('The same request may be sent again, with the same idempotency key when it writes.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problemSchema>;

export function problemOf(error: AppError): Problem {
  const { title, status, remedy, retryable } = errorCatalogue[error.code];
  return { type: `urn:controlcluster:problem:${error.code}`, title, status, detail: error.detail, code: error.code, remedy, retryable };
}

/** By the `code` of fastify's own errors. Those with another code and a 4xx status are `invalid_request`. */
const frameworkCodes: Readonly<Record<string, ErrorCode | undefined>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
};

interface FrameworkError {
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly message?: unknown;
}

function appErrorOf(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const { code, statusCode, message } = (thrown ?? {}) as FrameworkError;
  const isRequestError = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
  if (!isRequestError) return new AppError('internal_error', 'The log of the sidecar says more.', thrown);
  const known = typeof code === 'string' && Object.hasOwn(frameworkCodes, code) ? frameworkCodes[code] : undefined;
  return new AppError(known ?? 'invalid_request', typeof message === 'string' ? message : 'The request cannot be read.', thrown);
}

/** What the caller is told about anything that was thrown while a request was served. Logs what is our own failure. */
export function explain(thrown: unknown, logger: Logger): AppError {
  const error = appErrorOf(thrown);
  if (error.code === 'internal_error') logger.error({ err: thrown }, 'request failed');
  return error;
}

export function sendProblem(reply: FastifyReply, error: AppError, retryAfterSeconds: number): void {
  const problem = problemOf(error);
  if (problem.status === 503) reply.header('retry-after', String(retryAfterSeconds));
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.code(problem.status).header('content-type', problemType).send(JSON.stringify(problem));
}

/** For what node refuses before there is a request: a whole HTTP/1.1 answer, after which the socket is closed. */
export function rawProblem(error: AppError): string {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  const length = String(Buffer.byteLength(body));
  return `HTTP/1.1 ${String(problem.status)} ${problem.code}\r\nContent-Type: ${problemType}\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`;
}
