// Many changes on one connection: a line in, a line out, answered in the order in which they came.
// Bounded: at most `bulkWindow` changes and `bulkWindowBytes` are under way; beyond that, and while the caller does not read its answers,
// nothing more is read from it. A refused change is answered in its place and does not end the exchange.
// It does not make the lines one transaction, and what was submitted goes on when the caller leaves.
import type { Readable, Writable } from 'node:stream';
import { AppError } from '../../common/errors.ts';
import type { Bounds } from './bounds.ts';

const newline = 0x0a;
const nothing: Buffer = Buffer.alloc(0);

/** Cuts chunks into lines; copies only those that lie in several chunks. */
class LineCutter {
  readonly #maxBytes: number;
  #chunk = nothing;
  #start = 0;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** To be called when `next` has returned `null`. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#start = 0;
  }

  /** Throws AppError body_too_large when a line, finished or not, is over the limit. */
  next(): Buffer | null {
    const at = this.#chunk.indexOf(newline, this.#start);
    this.#add(this.#chunk.subarray(this.#start, at === -1 ? undefined : at));
    this.#start = at + 1;
    if (at !== -1) return this.take();
    this.#chunk = nothing;
    return null;
  }

  /** What came after the last newline. */
  take(): Buffer {
    const [first] = this.#parts;
    const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }

  #add(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes) throw new AppError('body_too_large', `A line has more than ${String(this.#maxBytes)} bytes.`);
    if (part.length > 0) this.#parts.push(part);
  }
}

interface Slot {
  answer: string | null;
  readonly bytes: number;
}

export interface BulkOptions {
  readonly source: Readable;
  readonly sink: Writable;
  /** Resolves with the answer without its newline. Called in the order of the lines; must not reject. */
  readonly submit: (line: Buffer) => Promise<string>;
  /** The answer to what ends the exchange early. */
  readonly refuse: (error: unknown) => string;
  readonly bounds: Bounds;
}

export class BulkExchange {
  readonly #options: BulkOptions;
  readonly #cutter: LineCutter;
  /** In the order of the lines. Those at the front that are answered wait for the next flush. */
  readonly #slots: Slot[] = [];
  #bytes = 0;
  /** Nothing more comes; the cutter may still hold lines for which there was no room. */
  #isAtEnd = false;
  /** Nothing more is read. */
  #isOver = false;
  #isBlocked = false;
  #isFlushPlanned = false;

  constructor(options: BulkOptions) {
    this.#options = options;
    this.#cutter = new LineCutter(options.bounds.bodyBytes);
    const { source, sink } = options;
    source.on('data', (chunk: Buffer) => {
      this.#cutter.push(chunk);
      this.#pump();
    });
    // Comes while the source is paused too, when its last chunk filled the window.
    source.once('end', () => {
      this.#isAtEnd = true;
      this.#pump();
    });
    // The caller left. What it had sent is under way and needs no answer.
    source.once('error', this.stop);
    sink.once('close', this.stop);
    sink.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
  }

  /** Reads nothing more; what is under way is still answered, then the answer ends. */
  readonly stop = (): void => {
    this.#isOver = true;
    this.#options.source.pause();
    this.#planFlush();
  };

  get #isFull(): boolean {
    return this.#slots.length >= this.#options.bounds.bulkWindow || this.#bytes >= this.#options.bounds.bulkWindowBytes;
  }

  /** Submits the lines at hand as far as the window allows, and reads on only when there is room for more. */
  #pump(): void {
    try {
      while (!this.#isOver && !this.#isFull) {
        const line = this.#cutter.next();
        if (line !== null) this.#accept(line);
        else if (this.#isAtEnd) this.#finish();
        else {
          this.#options.source.resume();
          return;
        }
      }
    } catch (error) {
      this.#slots.push({ answer: this.#options.refuse(error), bytes: 0 });
      this.stop();
    }
    this.#options.source.pause();
  }

  /** The last line may lack its newline. */
  #finish(): void {
    this.#accept(this.#cutter.take());
    this.stop();
  }

  #accept(line: Buffer): void {
    if (line.length === 0) return;
    const slot: Slot = { answer: null, bytes: line.length };
    this.#slots.push(slot);
    this.#bytes += slot.bytes;
    void this.#options.submit(line).then((answer) => {
      slot.answer = answer;
      if (slot === this.#slots[0]) this.#planFlush();
    });
  }

  /** Answers that come in one turn, as those of one frame do, leave in one write. */
  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    const { sink } = this.#options;
    if (this.#isBlocked || sink.writableEnded) return;
    const waiting = this.#slots.findIndex(({ answer }) => answer === null);
    const done = this.#slots.splice(0, waiting === -1 ? this.#slots.length : waiting);
    for (const { bytes } of done) this.#bytes -= bytes;
    if (done.length > 0) this.#isBlocked = !sink.write(done.map(({ answer }) => `${answer ?? ''}\n`).join(''));
    if (!this.#isOver) this.#pump();
    else if (this.#slots.length === 0) sink.end();
  }
}
