// What the members of one cluster say to each other over core NATS: forms, bounds and bytes.
// Delivery is at most once and in no order; every rule that reads a message is written for that.
import { z } from 'zod';
import { errorCatalogue, type ErrorCode } from '../../common/errors.ts';
import { epochSchema, positionSchema } from '../../common/position.ts';
import { changeSchema } from './frame.ts';
import { snapshotHeadSchema } from './snapshot.ts';

const pod = z.string().min(1).max(253);
/** Every message says of which cluster it speaks; `''` when its sender knows of none yet. */
const clusterId = z.string().max(253);
/** Id of the sender's disk; `''` while it counts for nothing. */
const incarnation = z.string().max(32);

const voteRequestSchema = z.strictObject({
  kind: z.literal('voteRequest'),
  from: pod,
  clusterId,
  epoch: epochSchema,
  position: positionSchema,
});
const voteAnswerSchema = z.strictObject({
  kind: z.literal('voteAnswer'),
  from: pod,
  clusterId,
  /** Disk of the voter; a vote counts by it. */
  incarnation,
  epoch: epochSchema,
  granted: z.boolean(),
  promise: epochSchema,
  position: positionSchema,
});
/** From the leader, or (`opened: false`) from a candidate whose claim waits for its majority. */
const heartbeatSchema = z.strictObject({
  kind: z.literal('heartbeat'),
  from: pod,
  clusterId,
  epoch: epochSchema,
  opened: z.boolean(),
  round: z.int().min(0),
  position: positionSchema,
  acknowledged: positionSchema,
  /** Its frames up to this one are compacted. */
  baseIndex: z.int().min(0),
});
/** What a member has durable. Goes to the leader after each write and heartbeat, to all while there is none. */
const positionReportSchema = z.strictObject({
  kind: z.literal('report'),
  from: pod,
  clusterId,
  identity: z.string().max(512),
  incarnation,
  promise: epochSchema,
  position: positionSchema,
  baseIndex: z.int().min(0),
  eligible: z.boolean(),
  synced: z.boolean(),
  /** Round of the heartbeat that it answers; 0 when it answers none. */
  round: z.int().min(0),
});
const handOverSchema = z.strictObject({ kind: z.literal('handOver'), from: pod, clusterId, to: pod, epoch: epochSchema });

const messageSchema = z.discriminatedUnion('kind', [
  voteRequestSchema,
  voteAnswerSchema,
  heartbeatSchema,
  positionReportSchema,
  handOverSchema,
]);
export type Message = z.infer<typeof messageSchema>;
export type MessageOf<Kind extends Message['kind']> = Extract<Message, { kind: Kind }>;

const snapshotId = z.string().regex(/^[0-9a-f]{64}$/);

/** Requests that one member's runtime asks of another's; answered with JSON of a form below, or with frames (`packFrames`), or with a part of a snapshot. */
const requestSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('submit'), change: changeSchema }),
  z.strictObject({ kind: z.literal('readUid') }),
  z.strictObject({ kind: z.literal('locate'), index: z.int().min(0) }),
  z.strictObject({ kind: z.literal('frames'), fromIndex: z.int().min(1) }),
  z.strictObject({ kind: z.literal('snapshot') }),
  z.strictObject({ kind: z.literal('snapshotPart'), id: snapshotId, offset: z.int().min(0) }),
]);
export type PeerRequest = z.infer<typeof requestSchema>;

/** A snapshot that a member can give; its bytes are asked for in parts. */
const offerSchema = z.strictObject({ id: snapshotId, bytes: z.int().min(1), head: snapshotHeadSchema });
export type SnapshotOffer = Readonly<z.infer<typeof offerSchema>>;

/** What the leader's log has at `index`: `hash` is `null` when its log is shorter, or that frame is compacted; `epoch` when its log is shorter. */
const locatedSchema = z.strictObject({ index: z.int().min(0), hash: z.string().max(64).nullable(), epoch: epochSchema.nullable() });
export type LocatedEnd = Readonly<z.infer<typeof locatedSchema>>;
const refusalSchema = z.strictObject({
  kind: z.literal('refused'),
  code: z.enum(Object.keys(errorCatalogue) as ErrorCode[]),
  detail: z.string(),
});
const submitAnswerSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('committed'), uid: z.int().min(1), epoch: z.int().min(0), duplicate: z.boolean() }),
  refusalSchema,
]);
const readAnswerSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('confirmed'), uid: z.int().min(0) }),
  refusalSchema,
]);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const encodeJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

function decodeWith<T>(schema: z.ZodType<T>, payload: Uint8Array): T | null {
  try {
    const parsed = schema.safeParse(JSON.parse(decoder.decode(payload)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
/** `null` for what is not of the form: it is dropped, as a lost message would be. */
export const decodeMessage = (payload: Uint8Array): Message | null => decodeWith(messageSchema, payload);
export const decodeLocated = (payload: Uint8Array): LocatedEnd | null => decodeWith(locatedSchema, payload);
export const decodeOffer = (payload: Uint8Array): SnapshotOffer | null => decodeWith(offerSchema, payload);
export const decodeRequest = (payload: Uint8Array): PeerRequest | null => decodeWith(requestSchema, payload);
export const decodeSubmitAnswer = (payload: Uint8Array): z.infer<typeof submitAnswerSchema> | null =>
  decodeWith(submitAnswerSchema, payload);
export const decodeReadAnswer = (payload: Uint8Array): z.infer<typeof readAnswerSchema> | null => decodeWith(readAnswerSchema, payload);

/** What a frame takes among packed frames. */
export const packedBytes = ({ length }: Uint8Array): number => 4 + length;

/** Frames as `length (u32, big endian), bytes` one after the other: a message of the stream, or an answer to a peer. */
export function packFrames(frames: readonly Uint8Array[]): Uint8Array {
  const packed = new Uint8Array(frames.reduce((sum, bytes) => sum + packedBytes(bytes), 0));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const bytes of frames) {
    view.setUint32(at, bytes.length);
    packed.set(bytes, at + 4);
    at += packedBytes(bytes);
  }
  return packed;
}

/** The reverse of `packFrames`; `null` when a length runs over the end. */
export function unpackFrames(packed: Uint8Array): Uint8Array[] | null {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < packed.length;) {
    if (at + 4 > packed.length) return null;
    const length = view.getUint32(at);
    if (at + 4 + length > packed.length) return null;
    frames.push(packed.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}
