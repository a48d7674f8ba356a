// A simulated JetStream: the streams and what a test or a simulation may do to them. Clients are `SimJetStream`s.
// Time and chance are injected; order, loss and delay follow from them, so that one seed is one run. It is never kinder than a real server: what
// is sent may be carried out at any later time, also twice; consumers die without a word; reads may be answered by a server that leads no more.
import { AppError } from '../../common/errors.ts';
import type { Clock } from '../../sidecar/ports.ts';
import type { Answer, StreamEnds } from '../../sidecar/stream/jetstream-port.ts';
import { SimConsumer, type SimConsumerWay } from './sim-consumer.ts';
import { SimContent } from './sim-content.ts';
import { SimFaults, type Fate, type SimWeather } from './sim-faults.ts';
import { SimJetStream, type SimServer } from './sim-jetstream-client.ts';

/** Messages that a server which leads no more may lack. */
const maxStaleMessages = 5;
const wrongLastSequence = 10071;
const noResponders = 503;
const clusterNotAvailable = 10008;
const messageTooLarge = 10054;

/** A message that the leader took, on its way to a majority of the servers. */
interface Proposal {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly expectedSeq: number;
  readonly answer: (answer: Answer) => void;
}

export interface SimServerOptions extends SimWeather {
  /** 1: what is taken is stored. 3: it goes to the other servers first. */
  readonly replicas?: 1 | 3;
  readonly maxMessageBytes?: number;
  /** A message stands in the stream now. */
  readonly onStored?: (seq: number, bytes: Uint8Array) => void;
}

export class SimJetStreamServer implements SimServer {
  readonly faults: SimFaults;
  readonly #options: SimServerOptions;
  #content: SimContent | null = null;
  #proposals: Proposal[] = [];
  #available = true;
  readonly #clients = new Set<SimJetStream>();
  readonly #consumers = new Set<SimConsumer>();

  constructor(options: SimServerOptions) {
    this.#options = options;
    this.faults = new SimFaults(options);
  }

  get available(): boolean {
    return this.#available;
  }

  get content(): SimContent | null {
    return this.#content;
  }

  /** A client with a connection of its own; `arrivals` is the clock of its process. */
  open(arrivals: Pick<Clock, 'after'> = this.#options.clock): SimJetStream {
    const client = new SimJetStream(this, this.faults, { clock: this.#options.clock, arrivals });
    this.#clients.add(client);
    client.heal();
    return client;
  }

  forgetClient(client: SimJetStream): void {
    this.#clients.delete(client);
  }

  /** All servers at once: what they had in memory is gone. */
  stop(): void {
    this.#available = false;
    this.#resolveProposals();
    for (const consumer of this.#consumers) consumer.forget(null);
    this.#consumers.clear();
    for (const client of this.#clients) client.lose('the NATS server closed the connection');
  }

  start(): void {
    this.#available = true;
    for (const client of this.#clients) client.reconnect();
  }

  /** Another server leads the stream. */
  changeLeader(): void {
    this.#resolveProposals();
    for (const consumer of this.#consumers) if (this.faults.happens(0.5)) consumer.stall();
  }

  /**
   * Messages behind `lastSeq` are gone; their sequences will be used again. A server begins its consumers anew when that happens, so that ours
   * bring nothing more. That one lives on was never seen; what would become of its reader can be tried all the same.
   */
  loseEnd(lastSeq: number, consumersLive = false): void {
    this.#replace(this.#content?.upTo(lastSeq) ?? null);
    if (!consumersLive) this.stallConsumers();
  }

  remove(): void {
    this.#replace(null);
    for (const consumer of this.#consumers) consumer.forget(409);
    this.#consumers.clear();
  }

  /** Puts older content back. */
  restore(content: SimContent | null): void {
    this.#replace(content?.copy() ?? null);
  }

  /** What a person may do with a tool: without a subject the sequence jumps. */
  purge(beforeSeq: number, subject: string | null = null): void {
    this.#content?.purge(beforeSeq, subject);
  }

  forgetConsumers(status: number | null): number {
    const { size } = this.#consumers;
    for (const consumer of this.#consumers) consumer.forget(status);
    this.#consumers.clear();
    return size;
  }

  pump(): void {
    for (const consumer of this.#consumers) consumer.pump();
  }

  stallConsumers(): void {
    for (const consumer of this.#consumers) consumer.stall();
  }

  /** One attempt to store a message has arrived. */
  take(fate: Fate, subject: string, bytes: Uint8Array, expectedSeq: number, answer: (answer: Answer) => void): void {
    const content = this.#content;
    if (fate.has('refused')) {
      const code = this.faults.happens(0.5) ? noResponders : clusterNotAvailable;
      return answer({ kind: 'refused', code, description: 'no leader' });
    }
    // Nobody listens on the subject.
    if (content === null) return answer({ kind: 'refused', code: noResponders, description: 'no responders' });
    if (bytes.length > (this.#options.maxMessageBytes ?? Infinity))
      return answer({ kind: 'refused', code: messageTooLarge, description: 'message size exceeds maximum allowed' });
    if (expectedSeq !== content.ends.lastSeq + this.#proposals.length)
      return answer({ kind: 'refused', code: wrongLastSequence, description: 'wrong last sequence' });
    const proposal: Proposal = { subject, bytes, expectedSeq, answer };
    this.#proposals.push(proposal);
    const replicated = this.#options.replicas === 3;
    if (fate.has('underWay')) this.#options.clock.after(this.faults.delayMs(), () => this.#settle(proposal, fate));
    else if (replicated) this.#options.clock.after(this.faults.latencyMs(), () => this.#settle(proposal, fate));
    else this.#settle(proposal, fate);
  }

  ends(fate: Fate): StreamEnds | null {
    return this.#view(fate)?.ends ?? null;
  }

  message(fate: Fate, seq: number): Uint8Array | null {
    const content = this.#view(fate);
    if (content === null) throw new AppError('stream_unavailable', 'JetStream did not answer as it should (stream not found).');
    return content.message(seq);
  }

  create(): void {
    this.#content ??= new SimContent();
  }

  purgeBelow(subject: string, beforeSeq: number): void {
    if (this.#content === null) throw new AppError('stream_unavailable', 'JetStream did not answer as it should (stream not found).');
    this.#content.purge(beforeSeq, subject);
  }

  consumer(fate: Fate, startSeq: number, way: SimConsumerWay): SimConsumer {
    const view = this.#view(fate);
    if (view === null) throw new AppError('stream_unavailable', 'JetStream did not answer as it should (stream not found).');
    const stale = fate.has('stale');
    const { clock } = this.#options;
    const consumer = new SimConsumer({
      ...way,
      clock,
      faults: this.faults,
      startSeq,
      content: () => (stale ? view : this.#content),
      onStop: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  #settle(proposal: Proposal, fate: Fate): void {
    const at = this.#proposals.indexOf(proposal);
    const content = this.#content;
    if (at === -1 || content === null) return;
    // What stands before it is stored first; a message that is dropped takes those behind it along.
    if (fate.has('dropped')) {
      this.#proposals.splice(at);
      return;
    }
    for (const first of this.#proposals.splice(0, at + 1)) {
      if (content.ends.lastSeq !== first.expectedSeq) continue;
      first.answer({ kind: 'stored', seq: this.#store(content, first) });
    }
    this.pump();
  }

  /** Some of what is under way is stored, the rest is gone; nobody is told. */
  #resolveProposals(): void {
    const kept = Math.floor(this.#options.random() * (this.#proposals.length + 1));
    for (const proposal of this.#proposals.splice(0).slice(0, kept))
      if (this.#content?.ends.lastSeq === proposal.expectedSeq) this.#store(this.#content, proposal);
  }

  #store(content: SimContent, { subject, bytes }: Proposal): number {
    const seq = content.append(subject, bytes);
    this.#options.onStored?.(seq, bytes);
    return seq;
  }

  #view(fate: Fate): SimContent | null {
    const content = this.#content;
    if (!fate.has('stale') || content === null) return content;
    const lag = 1 + Math.floor(this.#options.random() * maxStaleMessages);
    return content.upTo(Math.max(content.ends.lastSeq - lag, content.ends.firstSeq - 1, 0));
  }

  #replace(content: SimContent | null): void {
    this.#content = content;
    this.#proposals = [];
  }
}
