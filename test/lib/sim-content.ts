// What a JetStream stream holds, with the arithmetic of the real one: sequences never move back by a purge, and a purge without a subject that
// reaches beyond the end jumps them. No time and no faults here.
import type { StreamEnds } from '../../sidecar/stream/jetstream-port.ts';

interface Message {
  readonly subject: string;
  readonly bytes: Uint8Array;
}

export class SimContent {
  readonly #messages: Map<number, Message>;
  #lastSeq: number;

  constructor(messages: ReadonlyMap<number, Message> = new Map(), lastSeq = 0) {
    this.#messages = new Map(messages);
    this.#lastSeq = lastSeq;
  }

  copy(): SimContent {
    return new SimContent(this.#messages, this.#lastSeq);
  }

  /** The copy of a server that has not heard of the last messages. */
  upTo(lastSeq: number): SimContent {
    return new SimContent(new Map([...this.#messages].filter(([seq]) => seq <= lastSeq)), Math.max(0, Math.min(lastSeq, this.#lastSeq)));
  }

  get ends(): StreamEnds {
    const first = this.#messages.keys().next();
    const lastSeq = this.#lastSeq;
    return { firstSeq: first.done === true ? (lastSeq === 0 ? 0 : lastSeq + 1) : first.value, lastSeq };
  }

  get messages(): number {
    return this.#messages.size;
  }

  *bytes(): Generator<Uint8Array> {
    for (const { bytes } of this.#messages.values()) yield bytes;
  }

  message(seq: number): Uint8Array | null {
    return this.#messages.get(seq)?.bytes ?? null;
  }

  /** The first message at or after `seq`. */
  next(seq: number): { readonly seq: number; readonly bytes: Uint8Array } | null {
    for (let at = Math.max(seq, this.ends.firstSeq); at <= this.#lastSeq; at += 1) {
      const bytes = this.message(at);
      if (bytes !== null) return { seq: at, bytes };
    }
    return null;
  }

  append(subject: string, bytes: Uint8Array): number {
    this.#lastSeq += 1;
    this.#messages.set(this.#lastSeq, { subject, bytes });
    return this.#lastSeq;
  }

  /** One bit of the last byte of a message turns. */
  damage(seq: number): void {
    const message = this.#messages.get(seq);
    if (message !== undefined) this.#messages.set(seq, { ...message, bytes: message.bytes.with(-1, (message.bytes.at(-1) ?? 0) ^ 1) });
  }

  /** Removes what lies below `beforeSeq`, on one subject or on all. */
  purge(beforeSeq: number, onlySubject: string | null = null): void {
    for (const [seq, { subject }] of this.#messages)
      if (seq < beforeSeq && subject === (onlySubject ?? subject)) this.#messages.delete(seq);
    if (onlySubject === null) this.#lastSeq = Math.max(this.#lastSeq, beforeSeq - 1);
  }
}
