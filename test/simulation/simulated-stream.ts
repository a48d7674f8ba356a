// What one simulated process sees of the stream: the port LogStream over the simulated servers, with the retries and checks of sidecar/stream.
// Attempts and answers are lost, come late and come twice; an old attempt may arrive long after its process has ended.
import { AppError } from '../../common/errors.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { LogStream, PublishOutcome, PurgeOutcome, StreamEvent } from '../../sidecar/ports.ts';
import type { Life, Where } from './scheduler.ts';
import { complain, type SimulatedHost, type World } from './world.ts';

const answerMinMs = 1000;
const answerMaxMs = 5000;
const retryMs = 250;
const requestTimeoutMs = 5000;
const lateCopyMs = 10_000;
const batchMessages = 16;
/** A reader learns so late, at most, that the message at its place is gone. */
const maxUnawareMs = 5000;

interface Reading {
  seq: number;
  hash: string;
  batch: number;
  told: string | null;
  /** A step is under way. */
  busy: boolean;
  /** Nothing is delivered before this time. */
  stalledUntilMs: number;
  readonly onEvent: (event: StreamEvent) => void;
  readonly room: () => Promise<void>;
}

export class SimulatedStream implements LogStream {
  readonly #world: World;
  readonly #host: SimulatedHost;
  readonly #life: Life;
  readonly #where: Where;
  #reading: Reading | null = null;
  #publishing: AbortSignal | null = null;
  #leave: () => void = () => undefined;

  constructor(world: World, host: SimulatedHost, life: Life) {
    this.#world = world;
    this.#host = host;
    this.#life = life;
    this.#where = { machine: host, life };
  }

  get #reachable(): boolean {
    return this.#world.stream.available && this.#world.network.isConnected(this.#host);
  }

  read(afterSeq: number, hash: string, onEvent: (event: StreamEvent) => void, room: () => Promise<void>): void {
    if (this.#life.dead) return;
    this.#leave();
    const reading: Reading = { seq: afterSeq, hash, batch: 0, told: null, busy: false, stalledUntilMs: 0, onEvent, room };
    this.#reading = reading;
    this.#leave = this.#world.stream.follow((isLoss) => {
      if (isLoss) reading.stalledUntilMs = this.#world.scheduler.nowMs + this.#world.chance.between(0, maxUnawareMs);
      this.#stepAfter(reading, this.#world.network.delayMs());
    });
    this.#stepAfter(reading, this.#world.network.delayMs());
  }

  close(): void {
    this.#leave();
    this.#reading = null;
  }

  /** The connection came or went. */
  wake(): void {
    if (this.#reading !== null) this.#stepAfter(this.#reading, this.#world.network.delayMs());
  }

  /** Delivers nothing for a while. */
  stall(durationMs: number): void {
    if (this.#reading !== null) this.#reading.stalledUntilMs = this.#world.scheduler.nowMs + durationMs;
  }

  purge(): Promise<PurgeOutcome> {
    return Promise.resolve({ kind: 'refused', verifiedSeq: 0 });
  }

  lastSeq(): Promise<number> {
    const { scheduler, network, chance, stream, swarm } = this.#world;
    const { lossRate, staleRate } = swarm.stream;
    return new Promise((resolve, reject) => {
      const delayMs = this.#reachable && stream.exists ? network.travel(lossRate) : null;
      scheduler.after(delayMs ?? requestTimeoutMs, 'lastSeq', this.#where, () => {
        if (delayMs === null || !this.#reachable || !stream.exists)
          reject(new AppError('stream_unavailable', 'The stream does not answer.'));
        else resolve(chance.happens(staleRate) ? stream.staleLastSeq(chance.below(4)) : stream.lastSeq);
      });
    });
  }

  publish(frame: Frame, expectedSeq: number, signal: AbortSignal): Promise<PublishOutcome> {
    if (this.#life.dead) return new Promise(() => undefined);
    if (this.#publishing?.aborted === false) complain(this.#world, 'I10', `${this.#host.pod} publishes two frames at once`);
    this.#publishing = signal;
    this.#world.oracles.published(this.#host.pod, this.#host.kind, frame);
    return new Promise((resolve) => {
      const attempt: Attempt = {
        frame,
        expectedSeq,
        waitMs: answerMinMs,
        isOver: false,
        finish: (outcome) => {
          attempt.isOver = true;
          if (this.#publishing === signal) this.#publishing = null;
          resolve(outcome);
        },
      };
      signal.addEventListener('abort', () => {
        attempt.finish({ kind: 'unknown' });
      });
      this.#send(attempt);
    });
  }

  #send(attempt: Attempt): void {
    const { scheduler, network, chance, swarm } = this.#world;
    const { lossRate, lateCopyRate } = swarm.stream;
    scheduler.after(attempt.waitMs * this.#host.rate, 'resend', this.#where, () => {
      if (!attempt.isOver) this.#send(attempt);
    });
    attempt.waitMs = Math.min(2 * attempt.waitMs, answerMaxMs);
    if (!this.#reachable) return;
    const delayMs = network.travel(lossRate);
    if (delayMs !== null) this.#arriveAfter(delayMs, attempt);
    if (chance.happens(lateCopyRate)) this.#arriveAfter(chance.between(0, lateCopyMs), attempt);
  }

  /** At the server: an event of the world, which no longer depends on who sent it. */
  #arriveAfter(delayMs: number, attempt: Attempt): void {
    const { scheduler, network, stream, trace, swarm } = this.#world;
    scheduler.later(delayMs, 'publish', () => {
      if (!stream.available || !stream.exists) return;
      const offer = stream.offer(attempt.frame.bytes, attempt.expectedSeq);
      if (trace.isShown)
        trace.say(
          scheduler.nowMs,
          'stream',
          `${offer.kind === 'stored' ? 'takes' : 'refuses'} ${attempt.frame.kind} ${String(attempt.frame.index)} (${attempt.frame.hash.slice(0, 8)}) of epoch ${String(attempt.frame.epoch.number)} from ${this.#host.pod} after ${String(attempt.expectedSeq)}`,
        );
      const backMs = network.travel(swarm.stream.answerLossRate);
      if (backMs === null || !this.#reachable) return;
      scheduler.after(backMs, 'published', this.#where, () => {
        if (attempt.isOver) return;
        if (offer.kind === 'wrongLastSequence') this.#readBack(attempt);
        else if (offer.seq === attempt.expectedSeq + 1) attempt.finish(offer);
        else attempt.finish({ kind: 'conflict', lastSeq: offer.seq });
      });
    });
  }

  /** Whose message stands at `expectedSeq + 1`? */
  #readBack(attempt: Attempt): void {
    const { scheduler, network, stream } = this.#world;
    scheduler.after(network.delayMs(), 'readBack', this.#where, () => {
      if (attempt.isOver || !this.#reachable || !stream.exists) return;
      const bytes = stream.message(attempt.expectedSeq + 1);
      if (bytes !== undefined && Buffer.compare(bytes, attempt.frame.bytes) === 0)
        attempt.finish({ kind: 'stored', seq: attempt.expectedSeq + 1 });
      else if (bytes !== undefined || stream.lastSeq !== attempt.expectedSeq) attempt.finish({ kind: 'conflict', lastSeq: stream.lastSeq });
      // Else it was refused while an attempt before it was under way: the next one tells.
    });
  }

  #stepAfter(reading: Reading, delayMs: number): void {
    if (reading.busy) return;
    reading.busy = true;
    this.#world.scheduler.after(Math.max(delayMs, reading.stalledUntilMs - this.#world.scheduler.nowMs), 'stream', this.#where, () => {
      reading.busy = false;
      if (reading === this.#reading) this.#step(reading);
    });
  }

  /** Delivers at most one message, once the place was seen to be what it was. */
  #step(reading: Reading): void {
    const { stream, scheduler, network } = this.#world;
    if (reading.stalledUntilMs - scheduler.nowMs > 1) return this.#stepAfter(reading, 0);
    if (!this.#reachable) {
      this.#tell(reading, 'The stream is not available.');
      return this.#stepAfter(reading, retryMs);
    }
    if (!stream.exists) {
      if (this.#host.kind === 'member') stream.create();
      this.#tell(reading, 'The stream does not exist yet.');
      return this.#stepAfter(reading, retryMs);
    }
    if (reading.seq > 0 && this.#hashAt(reading.seq) !== reading.hash) {
      reading.seq = 0;
      reading.onEvent({ kind: 'restarted', reason: 'the last message read is gone or another' });
    }
    this.#tell(reading, '');
    const bytes = stream.message(reading.seq + 1);
    if (bytes === undefined || reading !== this.#reading) return;
    reading.seq += 1;
    reading.hash = this.#hashAt(reading.seq);
    reading.onEvent({ kind: 'frame', seq: reading.seq, bytes });
    reading.batch += 1;
    if (reading.batch < batchMessages) return this.#stepAfter(reading, network.delayMs() / batchMessages);
    reading.busy = true;
    void reading.room().then(() => {
      reading.batch = 0;
      reading.busy = false;
      this.#stepAfter(reading, network.delayMs());
    });
  }

  #hashAt(seq: number): string {
    const bytes = this.#world.stream.message(seq);
    return bytes === undefined ? '' : this.#world.oracles.book.hashOf(bytes);
  }

  #tell(reading: Reading, problem: string): void {
    if (reading.told === problem) return;
    reading.told = problem;
    reading.onEvent(problem === '' ? { kind: 'connected' } : { kind: 'disconnected', reason: problem });
  }
}

interface Attempt {
  readonly frame: Frame;
  readonly expectedSeq: number;
  waitMs: number;
  isOver: boolean;
  readonly finish: (outcome: PublishOutcome) => void;
}
