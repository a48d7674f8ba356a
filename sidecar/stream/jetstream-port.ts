// The calls of JetStream that the log and the snapshots are made of, on one stream: all that a server decides, and nothing that we decide.
// Implemented by jetstream.ts on NATS and by a simulated server in the tests. Whatever is sent may be lost, carried out twice or later, also
// after the connection is gone; an answer may be lost, come twice or late. Nothing is sent again by itself.

export interface StreamEnds {
  /** Of the first message; the sequence of the next one when there is none, or 0 when there never was one. */
  readonly firstSeq: number;
  readonly lastSeq: number;
}

export type Answer =
  { readonly kind: 'stored'; readonly seq: number } | { readonly kind: 'refused'; readonly code: number; readonly description: string };

/** A message of the stream. `storedAt` is when the server took it, in nanoseconds since 1970 as decimal text: the same bytes that are stored again have another. */
export interface StoredMessage {
  readonly bytes: Uint8Array;
  readonly storedAt: string;
}

/** What a consumer brings. Its own sequence counts deliveries from 1, so that a lost one is seen. */
export type ConsumerSign =
  | { readonly kind: 'message'; readonly streamSeq: number; readonly consumerSeq: number; readonly message: StoredMessage }
  /** 100 is a heartbeat, 408 the end of a pull, anything else a refusal of it. */
  | { readonly kind: 'status'; readonly code: number };

export interface PullConsumer {
  /** Asks for `pullMessages` more, for `pullExpiresMs`, with a heartbeat every `heartbeatMs`. Nothing may ever come of it. */
  pull(): void;
  /** Nothing is brought after this. */
  stop(): void;
}

/** Calls reject with AppError stream_unavailable when they are not answered in time. All are answered by a server that takes itself for the stream's leader. */
export interface JetStreamConnection {
  readonly closed: boolean;
  /** One attempt to store a message behind `expectedSeq`. What is answered comes to the `onAnswer` listeners with `token`. */
  send(subject: string, bytes: Uint8Array, expectedSeq: number, token: number): void;
  /** `null` when there is no such stream. */
  ends(): Promise<StreamEnds | null>;
  /** Creates the stream; one that exists is left as it is. */
  create(): Promise<void>;
  /** The message with this sequence, `null` when there is none. */
  message(seq: number): Promise<StoredMessage | null>;
  /** Removes the messages on `subject` below `beforeSeq`, and never moves the last sequence. */
  purge(subject: string, beforeSeq: number): Promise<void>;
  /** A consumer that starts at `startSeq` or at the first message after it; it lives as long as it is pulled from. */
  consume(startSeq: number, onSign: (sign: ConsumerSign) => void): Promise<PullConsumer>;
}

export type JetStreamState =
  | { readonly kind: 'connected'; readonly connection: JetStreamConnection }
  /** `reason` is one sentence for people. */
  | { readonly kind: 'disconnected'; readonly reason: string };

export interface JetStream {
  readonly state: JetStreamState;
  /** Tells the state now and after each change; each `connected` is a new connection. Returns the unsubscribe function. */
  onState(listener: (state: JetStreamState) => void): () => void;
  /** Answers to what was sent on this or any earlier connection. */
  onAnswer(listener: (token: number, answer: Answer) => void): void;
}

/** What a server may send ahead of us. */
export const pullMessages = 256;
export const pullExpiresMs = 5000;
export const heartbeatMs = 1000;
