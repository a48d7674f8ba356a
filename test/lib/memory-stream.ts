// The stream of a cluster in memory, with the contract of the one on JetStream. What fails is what a test asks for: a lost answer, a lost
// frame, an outage, an end that is lost, a purge. Sequences and their reuse are those of JetStream.
import { AppError } from '../../common/errors.ts';
import { decodeFrame, type Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream, PublishOutcome, StreamEvent } from '../../sidecar/ports.ts';

interface Stored {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

interface StreamContent {
  readonly messages: readonly Stored[];
  readonly lastSeq: number;
}

const nothing: StreamContent = { messages: [], lastSeq: 0 };

/** What the servers hold; clients are `MemoryStream`s. */
export class MemoryStreamServer {
  content: StreamContent | null = null;
  #available = true;
  #loss: 'nothing' | 'frame' | 'answer' = 'nothing';
  readonly #clients = new Set<MemoryStream>();

  get available(): boolean {
    return this.#available;
  }

  attach(client: MemoryStream): void {
    this.#clients.add(client);
  }

  detach(client: MemoryStream): void {
    this.#clients.delete(client);
  }

  setAvailable(available: boolean): void {
    this.#available = available;
    this.#changed();
  }

  loseNextFrame(): void {
    this.#loss = 'frame';
  }

  loseNextAnswer(): void {
    this.#loss = 'answer';
  }

  create(): void {
    this.content ??= nothing;
  }

  remove(): void {
    this.#set(null);
  }

  /** Puts an older content back: the end is lost, its sequences will be used again. */
  restore(content: StreamContent | null): void {
    this.#set(content);
  }

  purge(beforeSeq: number): void {
    if (this.content !== null) this.#set({ ...this.content, messages: this.content.messages.filter(({ seq }) => seq >= beforeSeq) });
  }

  /** One attempt. `null` when no answer comes. */
  offer(bytes: Uint8Array, expectedSeq: number): PublishOutcome | null {
    const { content } = this;
    const loss = this.#loss;
    if (!this.#available || content === null) return null;
    this.#loss = 'nothing';
    if (loss === 'frame') return null;
    const seq = expectedSeq + 1;
    if (content.lastSeq !== expectedSeq) {
      const own = content.messages.find((message) => message.seq === seq && Buffer.compare(message.bytes, bytes) === 0);
      return own === undefined ? { kind: 'conflict', lastSeq: content.lastSeq } : { kind: 'stored', seq };
    }
    this.#set({ messages: [...content.messages, { seq, bytes }], lastSeq: seq });
    return loss === 'answer' ? null : { kind: 'stored', seq };
  }

  #set(content: StreamContent | null): void {
    this.content = content;
    this.#changed();
  }

  #changed(): void {
    for (const client of this.#clients) client.wake();
  }
}

interface Reading {
  seq: number;
  hash: string;
  told: string | null;
  /** Messages since there was room; no more are delivered while it is waited for. */
  batch: number;
  waits: boolean;
  readonly onEvent: (event: StreamEvent) => void;
  readonly room: () => Promise<void>;
}

const batchMessages = 256;

const hashOf = (bytes: Uint8Array): string => {
  const frame = decodeFrame(bytes, sha256);
  return 'error' in frame ? '' : frame.hash;
};

export class MemoryStream implements LogStream {
  readonly #server: MemoryStreamServer;
  readonly #mayCreate: boolean;
  #reading: Reading | null = null;
  #woken = false;
  #wakePublish: () => void = () => undefined;

  constructor(server: MemoryStreamServer, mayCreate: boolean) {
    this.#server = server;
    this.#mayCreate = mayCreate;
    server.attach(this);
  }

  close(): void {
    this.#server.detach(this);
    this.#reading = null;
  }

  read(afterSeq: number, hash: string, onEvent: (event: StreamEvent) => void, room: () => Promise<void>): void {
    this.#reading = { seq: afterSeq, hash, told: null, batch: 0, waits: false, onEvent, room };
    this.wake();
  }

  async lastSeq(): Promise<number> {
    if (!this.#server.available || this.#server.content === null) throw new AppError('stream_unavailable', 'The stream is not available.');
    return this.#server.content.lastSeq;
  }

  async publish(frame: Frame, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome> {
    const aborted = new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
    });
    while (!signal.aborted) {
      await new Promise(setImmediate);
      const outcome = this.#server.offer(frame.bytes, expectedSeq);
      if (outcome !== null) return outcome;
      if (this.#server.available && this.#server.content !== null) continue;
      const woken = new Promise<void>((resolve) => {
        this.#wakePublish = resolve;
      });
      await Promise.race([woken, aborted]);
    }
    return { kind: 'unknown' };
  }

  /** Something changed at the server; delivery is never within the call that changed it. */
  wake(): void {
    this.#wakePublish();
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const reading = this.#reading;
    if (reading === null || reading.waits) return;
    if (this.#server.available && this.#mayCreate) this.#server.create();
    const content = this.#server.available ? this.#server.content : null;
    if (content === null) {
      this.#tell(reading, this.#server.available ? 'The stream does not exist yet.' : 'The stream is not available.');
      return;
    }
    const at = content.messages.find(({ seq }) => seq === reading.seq);
    if (reading.seq > 0 && (at === undefined || hashOf(at.bytes) !== reading.hash)) {
      reading.seq = 0;
      reading.onEvent({ kind: 'restarted', reason: 'the last message read is gone or another' });
    }
    this.#tell(reading, '');
    for (const { seq, bytes } of content.messages) {
      if (reading !== this.#reading || seq <= reading.seq) continue;
      if (reading.batch === batchMessages) return this.#wait(reading);
      reading.batch += 1;
      reading.seq = seq;
      reading.hash = hashOf(bytes);
      reading.onEvent({ kind: 'frame', seq, bytes });
    }
  }

  #wait(reading: Reading): void {
    reading.waits = true;
    void reading.room().then(() => {
      reading.waits = false;
      reading.batch = 0;
      this.wake();
    });
  }

  #tell(reading: Reading, problem: string): void {
    if (reading.told === problem) return;
    reading.told = problem;
    reading.onEvent(problem === '' ? { kind: 'connected' } : { kind: 'disconnected', reason: problem });
  }
}
