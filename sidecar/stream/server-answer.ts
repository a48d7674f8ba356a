// What the NATS server says, read as input from outside: the answer to a publish, and the subject that a delivery came with.
// `null` for what is not of the form: it proves nothing. Never throws.
import { z } from 'zod';

const answerSchema = z.object({
  stream: z.string().optional(),
  /** 0 in a refusal. */
  seq: z.int().min(0).optional(),
  error: z.object({ err_code: z.number().optional(), description: z.string().optional() }).optional(),
});
export type PublishAnswer =
  { readonly kind: 'stored'; readonly seq: number } | { readonly kind: 'refused'; readonly code: number; readonly description: string };

const decoder = new TextDecoder();

export function parsePublishAnswer(payload: Uint8Array, ownStream: string): PublishAnswer | null {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    return null;
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) return null;
  const { stream, seq, error } = parsed.data;
  if (error !== undefined) return { kind: 'refused', code: error.err_code ?? 0, description: error.description ?? '' };
  // Another stream that takes the same subject answers, too.
  return seq !== undefined && seq > 0 && stream === ownStream ? { kind: 'stored', seq } : null;
}

export interface Delivery {
  readonly streamSeq: number;
  readonly consumerSeq: number;
  /** In nanoseconds since 1970, as decimal text. */
  readonly storedAt: string;
}

/** `$JS.ACK.<stream>.<consumer>.<delivered>.<streamSeq>.<consumerSeq>.<time>.<pending>`, or with domain and account before the stream and perhaps a random token at the end. */
export function parseDelivery(reply: string): Delivery | null {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  const [streamSeq, consumerSeq, storedAt = ''] = [sequence(tokens[at]), sequence(tokens[at + 1]), tokens[at + 2]];
  return streamSeq !== null && consumerSeq !== null && /^\d{1,20}$/.test(storedAt) ? { streamSeq, consumerSeq, storedAt } : null;
}

/** `2026-11-25T10:00:00.123456789Z`, with as many digits of a second as are needed, in the form that a delivery has. */
export function parseStoredAt(time: string): string | null {
  const [, seconds = '', fraction = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(time) ?? [];
  const ms = Date.parse(`${seconds}Z`);
  return ms >= 0 ? String(BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))) : null;
}

function sequence(token = ''): number | null {
  const value = /^\d{1,16}$/.test(token) ? Number(token) : 0;
  return value >= 1 && Number.isSafeInteger(value) ? value : null;
}
