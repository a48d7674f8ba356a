// Changes and frames: the unit of replication, its bytes and its chain hash.
// `hash` is SHA-256 over `prevHash` and the frame's bytes: two logs that agree on a hash agree on all before it (I1).
// The bytes are JSON, so that a person can read a journal or a stream with common tools.
import { z } from 'zod';
import { epochSchema, type Epoch, type Position } from '../../common/position.ts';
import { configurationSchema, type Configuration } from '../../common/configuration.ts';

export const limits = Object.freeze({
  keyBytes: 1024,
  valueBytes: 512 * 1024,
  changeBytes: 768 * 1024,
  /** Arrays and objects inside each other: a deeper value would exhaust the stack of whoever walks it. */
  valueDepth: 100,
  topicBytes: 1024,
  idempotencyKeyBytes: 128,
  operationsPerChange: 128,
  preconditionsPerChange: 128,
  /** A frame stays below the default `max_payload` of NATS (1 MiB). */
  frameBytes: 1000 * 1024,
  /** Of the stream: one frame of the greatest size, or many. */
  messageBytes: 1000 * 1024 + 4,
  changesPerFrame: 1024,
});

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'object' && depth > 0 && Object.values(value).every((inner) => isJson(inner, depth - 1));
}
const valueSchema = z.any().refine((value) => isJson(value, limits.valueDepth), {
  message: `is no JSON value, or is nested more than ${String(limits.valueDepth)} deep`,
});

const operationSchema = z.union([
  z.strictObject({ put: z.strictObject({ key: z.string().min(1), value: valueSchema }) }),
  z.strictObject({ delete: z.strictObject({ key: z.string().min(1) }) }),
  z.strictObject({ append: z.strictObject({ topic: z.string().min(1), value: valueSchema }) }),
]);
export type Operation =
  | { readonly put: { readonly key: string; readonly value: Json } }
  | { readonly delete: { readonly key: string } }
  | { readonly append: { readonly topic: string; readonly value: Json } };

/** Each given field must hold: `exists`; `uid`, of the key's last change; `value`, deeply equal. */
const preconditionSchema = z.strictObject({
  key: z.string().min(1),
  exists: z.boolean().optional(),
  uid: z.int().min(0).optional(),
  value: valueSchema.optional(),
});
export interface Precondition {
  readonly key: string;
  readonly exists?: boolean | undefined;
  readonly uid?: number | undefined;
  readonly value?: Json | undefined;
}

/** What one caller asked for: all or nothing. */
export const changeSchema = z.strictObject({
  operations: z.array(operationSchema).min(1).max(limits.operationsPerChange),
  preconditions: z.array(preconditionSchema).max(limits.preconditionsPerChange).optional(),
  idempotencyKey: z.string().min(1).max(limits.idempotencyKeyBytes).optional(),
});
export interface Change {
  readonly operations: readonly Operation[];
  readonly preconditions?: readonly Precondition[] | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** `data` carries changes; a `claim` opens an epoch; a `configuration` says who counts from then on. */
export type FrameKind = 'data' | 'claim' | 'configuration';

/** What a frame says, without its place in a stream. */
export interface FrameBody {
  readonly version: 1;
  readonly kind: FrameKind;
  readonly clusterId: string;
  readonly epoch: Epoch;
  /** 1 for the first frame of a log, no gaps. */
  readonly index: number;
  /** UID of the first change; for a frame without changes the UID that the next change will get. */
  readonly firstUid: number;
  readonly prevHash: string;
  /** The leader's clock when it made the frame; for people only. */
  readonly timeMs: number;
  /** Index of the highest frame of this chain that the leader knew as acknowledged when it made the frame; below `index`. */
  readonly acknowledgedIndex: number;
  readonly changes: readonly Change[];
  /** In a `configuration` always; in the first claim of a cluster, and in one of a higher generation. */
  readonly configuration?: Configuration | undefined;
}

export interface Frame extends FrameBody {
  readonly hash: string;
  /** The encoded body: what is hashed, stored and sent. */
  readonly bytes: Uint8Array;
}

const frameBodySchema = z.strictObject({
  version: z.literal(1),
  kind: z.enum(['data', 'claim', 'configuration']),
  clusterId: z.string().max(253),
  epoch: epochSchema,
  index: z.int().min(1),
  firstUid: z.int().min(1),
  prevHash: z.string().regex(/^([0-9a-f]{64})?$/),
  timeMs: z.int(),
  acknowledgedIndex: z.int().min(0),
  changes: z.array(changeSchema).max(limits.changesPerFrame),
  configuration: configurationSchema.optional(),
});

/** SHA-256 over the parts, in order, as lower-case hex. Given from outside: the core imports no library of the platform. */
export type Sha256 = (...parts: readonly (string | Uint8Array)[]) => string;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function encodeFrame(body: FrameBody, sha256: Sha256): Frame {
  const bytes = encoder.encode(JSON.stringify(body));
  return { ...body, bytes, hash: sha256(body.prevHash, bytes) };
}

/** Parses bytes from a stream, a peer or a disk. Returns the frame, or a sentence that says what is wrong with it. Never throws. */
export function decodeFrame(bytes: Uint8Array, sha256: Sha256): Frame | { readonly error: string } {
  if (bytes.length > limits.frameBytes)
    return { error: `frame of ${String(bytes.length)} bytes is over the limit of ${String(limits.frameBytes)}` };
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    return { error: 'frame is not UTF-8 JSON' };
  }
  const parsed = frameBodySchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { error: `frame is not of the form: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}` };
  }
  const body = parsed.data as FrameBody;
  const wrong = contradiction(body);
  if (wrong !== null) return { error: wrong };
  return { ...body, bytes, hash: sha256(body.prevHash, bytes) };
}

function contradiction({ kind, changes, configuration, index, acknowledgedIndex }: FrameBody): string | null {
  if (acknowledgedIndex >= index) return 'acknowledgedIndex is not below index';
  if (kind === 'data' && changes.length === 0) return 'a data frame carries changes';
  if (kind !== 'data' && changes.length > 0) return `a ${kind} carries no changes`;
  if (kind === 'data' && configuration !== undefined) return 'a data frame carries no configuration';
  return kind === 'configuration' && configuration === undefined ? 'a configuration frame carries one' : null;
}

/** UID of the last change at or before the end of this frame. */
export const lastUid = (frame: FrameBody): number => frame.firstUid + frame.changes.length - 1;

/** Of the log that ends with it. */
export const endOf = (frame: Frame): Position => ({ epoch: frame.epoch, uid: lastUid(frame), index: frame.index, hash: frame.hash });
