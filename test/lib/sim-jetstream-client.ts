// One client of the simulated JetStream, with a connection that can be lost and comes again: the port JetStream of production.
// What was sent before a connection was lost may still arrive; an answer reaches whatever connection there is then, or nobody.
// All that its process hears, the end of a connection too, comes by the clock of the process: one that stands still hears nothing.
import { AppError } from '../../common/errors.ts';
import type { Clock } from '../../sidecar/ports.ts';
import type {
  Answer,
  ConsumerSign,
  JetStream,
  JetStreamConnection,
  JetStreamState,
  PullConsumer,
  StreamEnds,
} from '../../sidecar/stream/jetstream-port.ts';
import type { SimConsumerWay } from './sim-consumer.ts';
import type { Fate, SimFaults } from './sim-faults.ts';

const callTimeoutMs = 5000;
const reconnectMs = 250;

/** What a client needs of the server. Calls throw what the caller is to be told. */
export interface SimServer {
  readonly available: boolean;
  take(fate: Fate, subject: string, bytes: Uint8Array, expectedSeq: number, answer: (answer: Answer) => void): void;
  ends(fate: Fate): StreamEnds | null;
  message(fate: Fate, seq: number): Uint8Array | null;
  create(): void;
  purgeBelow(subject: string, beforeSeq: number): void;
  consumer(fate: Fate, startSeq: number, way: SimConsumerWay): PullConsumer;
  forgetClient(client: SimJetStream): void;
  /** Consumers may have more to deliver. */
  pump(): void;
}

interface SimClocks {
  readonly clock: Pick<Clock, 'nowMs' | 'after'>;
  readonly arrivals: Pick<Clock, 'after'>;
}

interface Link {
  /** Nothing passes any more. */
  broken: boolean;
  /** The process knows it. */
  closed: boolean;
  /** Rejects the calls that wait for an answer. */
  readonly waiting: Set<() => void>;
}

export class SimJetStream implements JetStream {
  readonly #server: SimServer;
  readonly #faults: SimFaults;
  readonly #clocks: SimClocks;
  readonly #listeners = new Set<(state: JetStreamState) => void>();
  #state: JetStreamState = { kind: 'disconnected', reason: 'NATS has not been reached yet' };
  #link: Link | null = null;
  #isCut = false;
  #heldUntilMs = 0;
  #onAnswer: (token: number, answer: Answer) => void = () => undefined;
  #cancelConnect: () => void = () => undefined;

  constructor(server: SimServer, faults: SimFaults, clocks: SimClocks) {
    this.#server = server;
    this.#faults = faults;
    this.#clocks = clocks;
  }

  get state(): JetStreamState {
    return this.#state;
  }

  onState(listener: (state: JetStreamState) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => this.#listeners.delete(listener);
  }

  onAnswer(listener: (token: number, answer: Answer) => void): void {
    this.#onAnswer = listener;
  }

  /** No connection until `heal`. The process notices after `noticeMs`. */
  cut(noticeMs = 0): void {
    this.#isCut = true;
    this.lose('the connection to NATS was lost (cut)', noticeMs);
  }

  /** The connection breaks; another is made when that is possible. */
  lose(reason: string, noticeMs = 0): void {
    const link = this.#link;
    if (link === null || link.broken) return;
    link.broken = true;
    this.#clocks.arrivals.after(noticeMs, () => {
      this.#link = null;
      link.closed = true;
      for (const reject of link.waiting) reject();
      this.#become({ kind: 'disconnected', reason });
      this.#connectLater(reconnectMs);
    });
  }

  /** For so long its consumers bring heartbeats and no messages. */
  holdDeliveries(durationMs: number): void {
    const { clock } = this.#clocks;
    this.#heldUntilMs = Math.max(this.#heldUntilMs, clock.nowMs() + durationMs);
    clock.after(durationMs, () => this.#server.pump());
  }

  heal(): void {
    this.#isCut = false;
    this.reconnect();
  }

  /** There is a server again. */
  reconnect(): void {
    this.#connectLater(this.#faults.latencyMs());
  }

  /** Its process hears nothing more, not even that. */
  close(): void {
    this.#isCut = true;
    this.#cancelConnect();
    if (this.#link !== null) this.#link.broken = this.#link.closed = true;
    this.#listeners.clear();
    this.#onAnswer = () => undefined;
    this.#server.forgetClient(this);
  }

  #connectLater(afterMs: number): void {
    this.#cancelConnect();
    if (this.#isCut) return;
    this.#cancelConnect = this.#clocks.arrivals.after(afterMs, () => {
      if (this.#link !== null || this.#isCut || !this.#server.available) return;
      this.#link = { broken: false, closed: false, waiting: new Set() };
      this.#become({ kind: 'connected', connection: this.#connection(this.#link) });
    });
  }

  #become(state: JetStreamState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  #connection(link: Link): JetStreamConnection {
    const server = this.#server;
    return {
      get closed() {
        return link.closed;
      },
      send: (subject, bytes, expectedSeq, token) => {
        if (link.broken) return;
        const fate = this.#faults.draw('send');
        this.#carry(fate, () => server.take(fate, subject, bytes, expectedSeq, (answer) => this.#answer(fate, token, answer)));
      },
      ends: () => this.#call(link, (fate) => server.ends(fate)),
      create: () => this.#call(link, () => server.create()),
      message: (seq) => this.#call(link, (fate) => server.message(fate, seq)),
      purge: (subject, beforeSeq) => this.#call(link, () => server.purgeBelow(subject, beforeSeq)),
      consume: (startSeq, onSign) => this.#consume(link, startSeq, onSign),
    };
  }

  #consume(link: Link, startSeq: number, onSign: (sign: ConsumerSign) => void): Promise<PullConsumer> {
    const { arrivals, clock } = this.#clocks;
    const linked = (): boolean => !link.broken && this.#server.available;
    const held = (): boolean => clock.nowMs() < this.#heldUntilMs;
    return this.#call(link, (fate) => this.#server.consumer(fate, startSeq, { arrivals, linked, held, onSign }));
  }

  /** The ways of a request to the server. It is carried out there however it stands with the connection by then. */
  #carry(fate: Fate, run: () => void): void {
    const { clock } = this.#clocks;
    const arrive = (): void => {
      if (this.#server.available) run();
    };
    const laterMs = this.#faults.latencyMs() + (fate.has('requestDelayed') ? this.#faults.delayMs() : 0);
    if (!fate.has('requestLost')) clock.after(laterMs, arrive);
    if (fate.has('requestDuplicated')) clock.after(this.#faults.latencyMs() + this.#faults.delayMs(), arrive);
  }

  /** The ways of an answer back. */
  #return(fate: Fate, run: () => void): void {
    const { arrivals } = this.#clocks;
    const laterMs = this.#faults.latencyMs() + (fate.has('answerDelayed') ? this.#faults.delayMs() : 0);
    if (!fate.has('answerLost')) arrivals.after(laterMs, run);
    if (fate.has('answerDuplicated')) arrivals.after(this.#faults.latencyMs() + this.#faults.delayMs(), run);
  }

  #answer(fate: Fate, token: number, answer: Answer): void {
    this.#return(fate, () => {
      if (this.#link?.broken === false) this.#onAnswer(token, answer);
    });
  }

  #call<T>(link: Link, run: (fate: Fate) => T): Promise<T> {
    const fate = this.#faults.draw('call');
    return new Promise<T>((resolve, reject) => {
      const forget = (): void => {
        cancelTimeout();
        link.waiting.delete(onLost);
      };
      const fail = (reason: string): void => {
        forget();
        reject(new AppError('stream_unavailable', `JetStream did not answer as it should (${reason}).`));
      };
      const onLost = (): void => fail('CONNECTION_CLOSED');
      const cancelTimeout = this.#clocks.arrivals.after(callTimeoutMs, () => fail('TIMEOUT'));
      if (link.closed) return onLost();
      link.waiting.add(onLost);
      if (link.broken) return;
      this.#carry(fate, () => {
        const settle = answerOf(() => {
          if (fate.has('refused')) throw new AppError('stream_unavailable', 'JetStream did not answer as it should (503).');
          return run(fate);
        });
        this.#return(fate, () => {
          if (link.broken) return;
          forget();
          settle(resolve, reject);
        });
      });
    });
  }
}

type Settle<T> = (resolve: (value: T) => void, reject: (error: unknown) => void) => void;

/** What the server answers, to be told later. */
function answerOf<T>(run: () => T): Settle<T> {
  try {
    const value = run();
    return (resolve) => resolve(value);
  } catch (error) {
    return (_resolve, reject) => reject(error);
  }
}
