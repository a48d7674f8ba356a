// A pull consumer of the simulated JetStream, as the real one is to a client: what is delivered comes in order, and each fault may befall it.
// It lives on one copy of the stream; that of a server that leads no more gets nothing new.
import type { Clock } from '../../sidecar/ports.ts';
import { heartbeatMs, pullExpiresMs, pullMessages, type ConsumerSign, type PullConsumer } from '../../sidecar/stream/jetstream-port.ts';
import type { SimContent } from './sim-content.ts';
import type { SimFaults } from './sim-faults.ts';

const pullBytes = 8 * 1024 * 1024;
const inactiveMs = 10_000;

interface Pull {
  messages: number;
  bytes: number;
  readonly cancelExpiry: () => void;
}

export interface SimConsumerWay {
  /** The clock of the client: what arrives there. */
  readonly arrivals: Pick<Clock, 'after'>;
  /** Can anything come from the client to the server, or back? */
  readonly linked: () => boolean;
  /** Heartbeats come, messages do not. */
  readonly held: () => boolean;
  readonly onSign: (sign: ConsumerSign) => void;
}

interface SimConsumerOptions extends SimConsumerWay {
  readonly clock: Pick<Clock, 'nowMs' | 'after'>;
  readonly faults: SimFaults;
  /** What it reads; `null` when it is gone. */
  readonly content: () => SimContent | null;
  readonly startSeq: number;
  readonly onStop: () => void;
}

export class SimConsumer implements PullConsumer {
  readonly #options: SimConsumerOptions;
  readonly #pulls: Pull[] = [];
  #nextSeq: number;
  #consumerSeq = 0;
  #state: 'alive' | 'stalled' | 'forgotten' = 'alive';
  #stopped = false;
  #activeAtMs: number;
  #arriveAtMs = 0;
  readonly #onTheWay: ConsumerSign[] = [];
  #cancelHeartbeat: () => void = () => undefined;

  constructor(options: SimConsumerOptions) {
    this.#options = options;
    this.#nextSeq = options.startSeq;
    this.#activeAtMs = options.clock.nowMs();
  }

  pull(): void {
    const { clock, faults, linked } = this.#options;
    if (!linked()) return;
    if (faults.draw('call').has('requestLost')) return;
    clock.after(faults.latencyMs(), () => this.#onPull());
  }

  stop(): void {
    this.#stopped = true;
    this.stall();
    this.#options.onStop();
  }

  /** Deleted by somebody, who may or may not have it say so. */
  forget(status: number | null): void {
    this.#state = 'forgotten';
    for (const { cancelExpiry } of this.#pulls.splice(0)) {
      cancelExpiry();
      if (status !== null) this.#status(status);
    }
    this.#cancelHeartbeat();
  }

  /** Nothing comes any more, and nobody says so. */
  stall(): void {
    this.#state = 'stalled';
    for (const { cancelExpiry } of this.#pulls.splice(0)) cancelExpiry();
    this.#cancelHeartbeat();
  }

  /** There may be more to deliver. */
  pump(): void {
    const content = this.#options.held() ? null : this.#options.content();
    for (let pull = this.#pulls[0]; pull !== undefined && content !== null; pull = this.#pulls[0]) {
      const next = content.next(this.#nextSeq);
      if (next === null) return;
      if (next.bytes.length > pull.bytes) {
        this.#finish(pull, 409);
        continue;
      }
      if (!this.#deliver(pull, next)) return;
    }
  }

  #deliver(pull: Pull, { seq, bytes }: { readonly seq: number; readonly bytes: Uint8Array }): boolean {
    const fate = this.#options.faults.draw('delivery');
    if (fate.has('stalled')) {
      this.stall();
      return false;
    }
    if (fate.has('forgotten')) {
      this.forget(this.#options.faults.happens(0.5) ? null : 409);
      return false;
    }
    this.#nextSeq = seq + 1;
    this.#consumerSeq += 1;
    pull.messages -= 1;
    pull.bytes -= bytes.length;
    const sign: ConsumerSign = { kind: 'message', streamSeq: seq, consumerSeq: this.#consumerSeq, bytes };
    if (!fate.has('deliveryLost')) this.#bring(sign);
    if (fate.has('deliveryDuplicated')) this.#bring(sign);
    if (pull.messages === 0) this.#finish(pull, null);
    return true;
  }

  #onPull(): void {
    const { clock, linked, content } = this.#options;
    if (!linked()) return;
    if (clock.nowMs() - this.#activeAtMs > inactiveMs && this.#pulls.length === 0) this.#state = 'forgotten';
    if (this.#state === 'forgotten' || content() === null) return this.#status(503);
    if (this.#state === 'stalled') return;
    const cancelExpiry = clock.after(pullExpiresMs, () => this.#finish(pull, 408));
    const pull: Pull = { messages: pullMessages, bytes: pullBytes, cancelExpiry };
    this.#pulls.push(pull);
    if (this.#pulls.length === 1) this.#beatLater();
    this.pump();
  }

  #beatLater(): void {
    const { clock } = this.#options;
    this.#cancelHeartbeat = clock.after(heartbeatMs, () => {
      this.#status(100);
      this.#beatLater();
    });
  }

  #finish(pull: Pull, status: number | null): void {
    pull.cancelExpiry();
    this.#pulls.splice(this.#pulls.indexOf(pull), 1);
    this.#activeAtMs = this.#options.clock.nowMs();
    if (this.#pulls.length === 0) this.#cancelHeartbeat();
    if (status !== null) this.#status(status);
  }

  #status(code: number): void {
    this.#bring({ kind: 'status', code });
  }

  /** What one consumer sends arrives in the order in which it was sent. */
  #bring(sign: ConsumerSign): void {
    const { clock, arrivals, faults, linked, onSign } = this.#options;
    const nowMs = clock.nowMs();
    this.#arriveAtMs = Math.max(this.#arriveAtMs, nowMs + faults.latencyMs());
    this.#onTheWay.push(sign);
    arrivals.after(this.#arriveAtMs - nowMs, () => {
      const first = this.#onTheWay.shift();
      if (first !== undefined && !this.#stopped && linked()) onSign(first);
    });
  }
}
