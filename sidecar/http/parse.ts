// From what a caller sent to what the process takes: bytes, JSON, changes, keys, queries and conditional headers.
// Everything that is not of the documented form throws AppError here, so that bad input never reaches the process.
import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import { changeSchema, limits, type Change, type Json, type Operation, type Precondition } from '../core/frame.ts';

const maxDetailLength = 300;
const invalid = (detail: string): AppError => new AppError('invalid_request', detail.slice(0, maxDetailLength));

/** Says what in a parsed JSON value cannot be kept faithfully, or `null`. Recursion ends at `depth`. */
function objectionTo(value: unknown, depth: number): string | null {
  if (typeof value !== 'object' || value === null) return null;
  if (depth === 0) return 'Arrays and objects are nested too deeply.';
  // Libraries drop or obey this name; a value that holds it would come back changed.
  if (Object.hasOwn(value, '__proto__')) return 'The name __proto__ is not allowed in a JSON object.';
  for (const item of Object.values(value) as unknown[]) {
    const objection = objectionTo(item, depth - 1);
    if (objection !== null) return objection;
  }
  return null;
}

/** Throws AppError invalid_request when the bytes are not one UTF-8 JSON value of at most `nestingDepth` levels. */
export function parseJson(bytes: Buffer, nestingDepth: number): unknown {
  if (!isUtf8(bytes)) throw invalid('The body is not UTF-8.');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new AppError('invalid_request', 'The body is not one JSON value.', error);
  }
  const objection = objectionTo(value, nestingDepth);
  if (objection !== null) throw invalid(objection);
  return value;
}

/** The issue to tell: of a union, that of the alternative that came furthest. */
function tellingIssue(issue: z.core.$ZodIssue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  if (issue.code !== 'invalid_union') return issue;
  const nested = issue.errors.flatMap((alternative) => alternative.slice(0, 1).map(tellingIssue));
  const furthest = nested.reduce<(typeof nested)[number] | undefined>(
    (best, one) => (one.path.length > (best?.path.length ?? 0) ? one : best),
    undefined,
  );
  return furthest === undefined ? issue : { path: [...issue.path, ...furthest.path], message: furthest.message };
}

function explainIssues(error: z.ZodError): AppError {
  const issue = error.issues[0];
  if (issue === undefined) return invalid('The request is not of the documented form.');
  const { path, message } = tellingIssue(issue);
  return invalid(path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`);
}

function checkName(name: string, what: string, maxBytes: number): void {
  if (name === '') throw invalid(`The ${what} is empty.`);
  if (!name.isWellFormed()) throw invalid(`The ${what} is not well-formed Unicode.`);
  const bytes = Buffer.byteLength(name);
  if (bytes > maxBytes) throw new AppError('key_too_long', `The ${what} has ${String(bytes)} bytes, the limit is ${String(maxBytes)}.`);
}
const checkKey = (key: string): void => {
  checkName(key, 'key', limits.keyBytes);
};
/** A prefix or a lower bound of keys may be empty. */
export const checkKeyPart = (part: string, what: string): void => {
  if (part !== '') checkName(part, what, limits.keyBytes);
};

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

function valueOf(operation: Operation): Json | undefined {
  if ('put' in operation) return operation.put.value;
  return 'append' in operation ? operation.append.value : undefined;
}

/** The limits of `core/frame.ts` in bytes; the schema counts characters or nothing. */
function checkLimits(change: Change): void {
  for (const operation of change.operations) {
    if ('append' in operation) checkName(operation.append.topic, 'topic', limits.topicBytes);
    else checkKey('put' in operation ? operation.put.key : operation.delete.key);
  }
  for (const { key } of change.preconditions ?? []) checkKey(key);
  if (change.idempotencyKey !== undefined && Buffer.byteLength(change.idempotencyKey) > limits.idempotencyKeyBytes)
    throw invalid(`The idempotency key is longer than ${String(limits.idempotencyKeyBytes)} bytes.`);
  const bytes = jsonBytes(change);
  if (bytes <= limits.valueBytes) return;
  for (const value of change.operations.map(valueOf)) {
    const size = value === undefined ? 0 : jsonBytes(value);
    if (size > limits.valueBytes)
      throw new AppError('value_too_large', `A value has ${String(size)} bytes as JSON, the limit is ${String(limits.valueBytes)}.`);
  }
  if (bytes > limits.changeBytes)
    throw new AppError('change_too_large', `The change has ${String(bytes)} bytes as JSON, the limit is ${String(limits.changeBytes)}.`);
}

/** Throws AppError invalid_request, key_too_long, value_too_large or change_too_large. */
export function parseChange(value: unknown): Change {
  const parsed = changeSchema.safeParse(value);
  if (!parsed.success) throw explainIssues(parsed.error);
  checkLimits(parsed.data);
  return parsed.data;
}

/** The rest of the path, percent-decoded by the router. */
export function keyOf(request: FastifyRequest): string {
  const key = (request.params as { readonly '*': string })['*'];
  checkKey(key);
  return key;
}

/** Throws AppError invalid_request on malformed percent-encoding, a repeated, unknown or wrong parameter. */
export function readQuery<Schema extends z.ZodObject>(request: FastifyRequest, schema: Schema): z.output<Schema> {
  const text = request.url.slice(request.url.indexOf('?') + 1);
  try {
    decodeURIComponent(text);
  } catch (error) {
    throw new AppError('invalid_request', 'The query is not percent-encoded UTF-8.', error);
  }
  const parsed = schema.safeParse(request.query);
  if (!parsed.success) throw explainIssues(parsed.error);
  return parsed.data;
}

/** A whole number in a query. Not coerced by JavaScript's rules: `''`, `1e3` and ` 7` are refused. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'a whole number in decimal digits')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `a whole number from ${String(min)} to ${String(max)}`)
    .meta({ type: 'integer', minimum: min, maximum: max });

export const wholeNumberOr = (fallback: number, min: number, max: number) => wholeNumber(min, max).prefault(String(fallback));

export const etagOf = (uid: number): string => `"${String(uid)}"`;

export const conditionalHeaders = z.object({
  'if-match': z.string().optional().describe('`"<uid>"`: the key was last changed by this UID; `*`: the key exists. Otherwise 412.'),
  'if-none-match': z.string().optional().describe('`*`: the key does not exist. Otherwise 412.'),
});

/** Preconditions that stand in the headers; they fail with 412, those in a body with 409. */
export function preconditionsOf({ headers }: FastifyRequest, key: string): Precondition[] {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  if (ifMatch !== undefined && ifNoneMatch !== undefined) throw invalid('If-Match and If-None-Match exclude each other.');
  if (ifNoneMatch === '*') return [{ key, exists: false }];
  if (ifNoneMatch !== undefined) throw invalid('If-None-Match takes nothing but * here.');
  if (ifMatch === undefined) return [];
  if (ifMatch === '*') return [{ key, exists: true }];
  const uid = /^"([1-9]\d{0,15})"$/.exec(ifMatch)?.[1];
  if (uid === undefined) throw invalid('If-Match takes one ETag, a UID in double quotes, or *.');
  return [{ key, uid: Number(uid) }];
}

export const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'takes 1 to 128 visible ASCII characters')
    .optional()
    .describe('Submissions with the same key are one change (I8).'),
});

export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const parsed = idempotencyHeaders.safeParse(request.headers);
  if (!parsed.success) throw explainIssues(parsed.error);
  return parsed.data['idempotency-key'];
}
