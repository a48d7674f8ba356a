// The JetStream servers of a simulation: one stream of messages with its sequences, which may be away, lose its end, or be lost.
// Sequences are used again after a lost end, as JetStream does. What a client sees of it is in simulated-stream.ts.
export type Offer = { readonly kind: 'stored'; readonly seq: number } | { readonly kind: 'wrongLastSequence' };

const keptEnds = 8;

export class StreamServer {
  #available = true;
  exists = false;
  #messages: Uint8Array[] = [];
  /** Ends of the last moments, for a server that does not know yet that it leads no more. */
  readonly #ends: number[] = [0];
  readonly #readers = new Set<(isLoss: boolean) => void>();

  /** `onChange` is called after each change; `isLoss` when messages are gone. Returns the way to leave. */
  follow(onChange: (isLoss: boolean) => void): () => void {
    this.#readers.add(onChange);
    return () => this.#readers.delete(onChange);
  }

  get available(): boolean {
    return this.#available;
  }

  setAvailable(available: boolean): void {
    this.#available = available;
    this.#changed(false);
  }

  get lastSeq(): number {
    return this.#messages.length;
  }

  /** As a stale server would say it, `age` changes ago. */
  staleLastSeq(age: number): number {
    return this.#ends[Math.max(0, this.#ends.length - 1 - age)] ?? 0;
  }

  get messages(): readonly Uint8Array[] {
    return this.#messages;
  }

  /** `undefined` when there is none with this sequence. */
  message(seq: number): Uint8Array | undefined {
    return this.#messages[seq - 1];
  }

  create(): void {
    this.exists = true;
  }

  offer(bytes: Uint8Array, expectedSeq: number): Offer {
    if (this.lastSeq !== expectedSeq) return { kind: 'wrongLastSequence' };
    this.#messages.push(bytes);
    this.#changed(false);
    return { kind: 'stored', seq: this.lastSeq };
  }

  /** The last `count` messages are gone. */
  loseEnd(count: number): void {
    this.#messages.length = Math.max(0, this.lastSeq - count);
    this.#changed(true);
  }

  lose(): void {
    this.exists = false;
    this.#messages = [];
    this.#changed(true);
  }

  #changed(isLoss: boolean): void {
    this.#ends.push(this.lastSeq);
    if (this.#ends.length > keptEnds) this.#ends.shift();
    for (const reader of this.#readers) reader(isLoss);
  }
}
