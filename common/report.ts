// What a member tells the operator (on its member Lease) and what the operator tells the members (the start round, on the leader Lease).
// Both sides parse what they read with these schemas: an annotation is input from outside.
import { z } from 'zod';
import { configurationSchema } from './configuration.ts';
import { epochSchema, positionSchema } from './position.ts';

export const memberPhases = ['Starting', 'Waiting', 'Leading', 'CatchingUp', 'Following', 'Blocked', 'Stopping'] as const;
export type MemberPhase = (typeof memberPhases)[number];

const identifier = z.string().max(253);

/** The highest change known to be acknowledged. A log contains it when its frame `index` has this `hash` (I6). */
export const highWaterMarkSchema = z.strictObject({
  epoch: epochSchema,
  uid: z.int().min(0),
  index: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});
export type HighWaterMark = z.infer<typeof highWaterMarkSchema>;

/** Changes that a member gave up and keeps in its archive (I5): a tail of its log, or a state in which they cannot be told apart any more. */
export const discardedSchema = z.object({
  id: z.string().max(128),
  kind: z.enum(['diverged', 'state']),
  /** `lastUid` of a state is the last change in it. */
  lastUid: z.int().min(0),
  firstUid: z.int().min(1).optional(),
  changes: z.int().min(1).optional(),
});
export type Discarded = z.infer<typeof discardedSchema>;
/** The newest of each kind that a report names. */
export const maxReportedDiscards = 4;

export const memberReportSchema = z.object({
  version: z.literal(1),
  pod: identifier,
  podUid: z.string().max(64),
  /** Random for each start of the sidecar. A start round counts sessions, so that a round never outlives those who were in it. */
  session: z.string().max(64),
  role: z.enum(['member', 'dr']),
  /** Random id of its disk; `''` while that is not known to be the one that took part before, and for a DR replica. */
  incarnation: z.string().max(32),
  /** Its disk counts, as far as its own log tells. */
  voter: z.boolean(),
  /** Those of which a majority each is needed, as far as its log alone tells; none while the log is empty. A pod that is to go stays until no leader's log names it. */
  configurations: z.array(configurationSchema).max(8),
  phase: z.enum(memberPhases),
  /** Set whenever the phase is not Leading or Following: a CamelCase reason and a sentence with the evidence and the next step. */
  reason: z.string().max(64).optional(),
  message: z.string().max(1024).optional(),
  clusterId: identifier.nullable(),
  promise: epochSchema,
  position: positionSchema,
  /** `null` before anything was acknowledged. */
  acknowledged: highWaterMarkSchema.nullable(),
  /** May stand for election without a new start round: it was counted in the round that is open, or joined a leader since it started. */
  eligible: z.boolean(),
  /** The leader that this member follows, or itself. */
  leader: identifier.nullable(),
  /** Changes that the leader has and this member does not; 0 on the leader. */
  lag: z.int().min(0),
  /** `host:port` of the Process API. */
  address: z.string().max(300),
  sidecarVersion: z.string().max(64),
  /** The newest, those of each kind in order. */
  discarded: z
    .array(discardedSchema)
    .max(2 * maxReportedDiscards)
    .optional(),
});

/** Reason of a process that waits for frames that its disk has damaged. */
export const journalDamaged = 'JournalDamaged';

/** Said by a process that cannot report yet: it does not touch the report of the one before it, by which its disk is judged. */
export const waitingSchema = z.object({
  podUid: z.string().max(64),
  reason: z.string().max(64),
  message: z.string().max(1024),
});
export type Waiting = z.infer<typeof waitingSchema>;

/** What a process reads of the report that the one before it left, when it starts: enough to tell whether it has the same disk. */
export const diskRecordSchema = memberReportSchema.pick({ session: true, promise: true, position: true });

export type MemberReport = z.infer<typeof memberReportSchema>;

/** A start round (gang start, K6 and K7). Written once for each round by the operator, read by every sidecar. */
export const startRoundSchema = z.object({
  version: z.literal(1),
  number: z.int().min(1),
  clusterId: identifier,
  /** Raised by each recovery and forced start: no leadership of a lower one counts any more. */
  generation: z.int().min(0),
  /** The member that campaigns first: most advanced log, on a tie the first in failover.csv. */
  designated: identifier,
  /**
   * How it comes to lead. `elected`: by votes. The others raise the generation and need none: `recovery`, with the most advanced log that it can find, when too few of the
   * disks that count are left; `forced`, with its own log, because a person said so (K10).
   */
  claim: z.enum(['elected', 'recovery', 'forced']),
  /** The disks that count: those that the cluster was founded with, and that count until a log says otherwise; in the other rounds those that the claim makes count. */
  configuration: configurationSchema,
  /** Those that were counted, by session. */
  counted: z.array(z.strictObject({ pod: identifier, session: z.string().max(64) })).max(7),
  highWaterMark: highWaterMarkSchema.nullable(),
  openedAt: z.iso.datetime(),
});
export type StartRound = z.infer<typeof startRoundSchema>;

/** A switch-over that a person asked for, told to the leader by its session. `toldAt` tells one request from the next. */
export const switchoverSchema = z.strictObject({ session: z.string().max(64), to: identifier, toldAt: z.iso.datetime() });
export type Switchover = z.infer<typeof switchoverSchema>;

/** Who holds the leader Lease: pod name, pod UID and session, in `spec.holderIdentity`. */
export function leaseIdentity(pod: string, podUid: string, session: string): string {
  return `${pod}_${podUid}_${session}`;
}
/** The pod of a Lease identity; `''` when the Lease is free. */
export const podOfIdentity = (identity: string): string => identity.split('_', 1)[0] ?? '';

/** Parses an annotation; `null` when it is absent, too long, not JSON or not of the schema. */
export function parseAnnotation<T>(schema: z.ZodType<T>, text: string | undefined): T | null {
  const maxAnnotationLength = 16_384;
  if (text === undefined || text.length > maxAnnotationLength) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
