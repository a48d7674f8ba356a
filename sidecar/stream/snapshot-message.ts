// The messages that a snapshot is made of in NATS: its chunks, and the manifest that makes them one. Each is a line of JSON, and behind it the
// bytes of the chunk. Each names the manifest of the snapshot before it, so that the last message of the stream leads to the newest whole one.
// What cannot be parsed is no message of a snapshot; nothing here is trusted beyond its form.
import { z } from 'zod';
import { snapshotOriginSchema } from '../core/snapshot.ts';

const formatVersion = 1;
const newline = 0x0a;

const seqSchema = z.int().min(0);
const common = {
  version: z.literal(formatVersion),
  id: z.string().min(1),
  /** Which of the two subjects it is on. */
  slot: z.literal([0, 1]),
  /** The manifest of the newest whole snapshot before this one, which is on the other subject; 0 for none. */
  previous: seqSchema,
};
const headSchema = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('chunk'), chunk: seqSchema }),
  z.strictObject({
    ...common,
    kind: z.literal('manifest'),
    totalBytes: seqSchema,
    firstSeq: seqSchema,
    /** Of the state that it holds. */
    origin: snapshotOriginSchema,
    /** SHA-256 of each chunk, in order. */
    chunks: z.array(z.string().regex(/^[0-9a-f]{64}$/)),
  }),
]);
export type SnapshotHead = z.infer<typeof headSchema>;
export type Manifest = Extract<SnapshotHead, { kind: 'manifest' }>;

export interface SnapshotMessage {
  readonly head: SnapshotHead;
  readonly bytes: Uint8Array;
}

type Unversioned<T> = T extends unknown ? Omit<T, 'version'> : never;

export function encodeSnapshotMessage(head: Unversioned<SnapshotHead>, bytes: Uint8Array = new Uint8Array()): Uint8Array {
  return Buffer.concat([Buffer.from(`${JSON.stringify({ version: formatVersion, ...head })}\n`), bytes]);
}

/** `null` when it is no message of a snapshot, or of another version. */
export function decodeSnapshotMessage(message: Uint8Array): SnapshotMessage | null {
  const end = message.indexOf(newline);
  if (end === -1) return null;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(message.subarray(0, end)).toString());
  } catch {
    return null;
  }
  const parsed = headSchema.safeParse(value);
  return parsed.success ? { head: parsed.data, bytes: message.subarray(end + 1) } : null;
}
