// The loop around the core: inputs from the adapters go in one at a time, effects go out to them, completions come back as inputs.
// It decides nothing about the protocol. One instance lives as long as the process; a reload builds the core anew from the journal.
import type { Logger } from 'pino';
import { isAppError } from '../common/errors.ts';
import type { MemberReport } from '../common/report.ts';
import type { Change, Frame } from './core/frame.ts';
import type { Effect, Input, ReadResult, SubmitResult } from './core/io.ts';
import { step } from './core/member.ts';
import { decodeMessage, encodeJson, packFrames } from './core/message.ts';
import { runErrand } from './errand.ts';
import { storeSnapshot } from './snapshot-exchange.ts';
import { carryOver, type Member, type MemberConfig } from './core/state.ts';
import type { ReportOptions } from './member-report.ts';
import type { Archive, Clock, Journal, LeaderLease, LogStream, OwnPod, Peers, SnapshotStore, StreamEvent } from './ports.ts';
import { Callers } from './callers.ts';
import { instantOf, recoverMember, renewMember } from './recovery.ts';
import { StatusBoard } from './status-board.ts';

export const tickMs = 50;
const reloadDelayMs = 1000;

export interface RuntimePorts {
  readonly journal: Journal;
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  readonly peers: Peers;
  /** `null` for a DR replica: it may not touch the leader Lease at all (I4). */
  readonly lease: LeaderLease | null;
  readonly ownPod: OwnPod;
  readonly clock: Clock;
  /** Ends the process: after a defect nobody knows its state. */
  readonly crash: (error: unknown) => void;
  readonly log: Logger;
}

export interface RuntimeOptions extends ReportOptions {
  readonly member: MemberConfig;
  /** `tickMs` by default. */
  readonly tickMs?: number;
}

export class Runtime {
  readonly #ports: RuntimePorts;
  readonly #options: RuntimeOptions;
  #member: Member;
  readonly #inputs: Input[] = [];
  #running = false;
  #diskFull = false;
  readonly #submissions = new Callers<SubmitResult>();
  readonly #reads = new Callers<ReadResult>();
  readonly #board: StatusBoard;
  #publishing: AbortController | null = null;
  #storing: AbortController | null = null;
  #readerGeneration = 0;
  /** Settles when all that was given to the journal is durable or refused. */
  #journalDrained: Promise<void> = Promise.resolve();
  #cancelTick: () => void = () => undefined;
  /** What the member Lease held before this process wrote to it; `null` until the API server has answered. */
  #record: Input | null = null;

  private constructor(ports: RuntimePorts, options: RuntimeOptions, member: Member, archives: readonly Archive[]) {
    this.#ports = ports;
    this.#options = options;
    this.#member = member;
    this.#board = new StatusBoard(ports.ownPod, options, archives);
  }

  /** Reads the journal and is ready to start. Rejects as `Journal.recovered` does. */
  static async create(ports: RuntimePorts, options: RuntimeOptions): Promise<Runtime> {
    return new Runtime(ports, options, await recoverMember(ports.journal, options.member), await ports.journal.archives());
  }

  get member(): Member {
    return this.#member;
  }

  report(): MemberReport {
    return this.#board.report(this.#member);
  }

  /** The journal found no room the last time that it was written. */
  get diskFull(): boolean {
    return this.#diskFull;
  }

  start(): void {
    const { lease, peers, ownPod } = this.#ports;
    ownPod.onReported((session) => this.input({ kind: 'reported', session }));
    ownPod.onDiscard((session) => {
      if (session === this.#options.member.session) this.input({ kind: 'discardLocal' });
    });
    ownPod.onSwitchover(({ session, to, toldAt }) => {
      if (session === this.#options.member.session) this.input({ kind: 'switchOver', to, request: toldAt });
    });
    if (lease !== null) ownPod.recorded((record) => this.input((this.#record = { kind: 'recorded', record })));
    lease?.watch((record) => this.input({ kind: 'lease', record }));
    peers.onMessage((payload) => {
      const message = decodeMessage(payload);
      if (message !== null && message.from !== this.#options.member.pod) this.input({ kind: 'message', message });
    });
    this.#tickLater();
  }

  stop(): void {
    this.#cancelTick();
    this.#publishing?.abort();
    this.#storing?.abort();
  }

  #tickLater(): void {
    this.#cancelTick = this.#ports.clock.after(this.#options.tickMs ?? tickMs, () => {
      this.#tickLater();
      this.input({ kind: 'tick' });
    });
  }

  /** Electable members in the order of failover.csv. */
  setOrder(members: readonly string[]): void {
    this.input({ kind: 'order', members });
  }

  /** Why NATS cannot be reached, in a sentence for people; `null` when it can. */
  setConnection(problem: string | null): void {
    this.input({ kind: 'connection', problem });
  }

  onChange(listener: () => void): () => void {
    return this.#board.onChange(listener);
  }

  /** Commits on this member, which must lead. */
  submit(change: Change, bytes: number): Promise<SubmitResult> {
    return this.#submissions.wait((id) => this.input({ kind: 'submit', id, change, bytes }));
  }

  /** Confirms on this member, which must lead, that it still does; the UID holds every change acknowledged before the call (I9). */
  confirmRead(): Promise<ReadResult> {
    return this.#reads.wait((id) => this.input({ kind: 'read', id }));
  }

  handOver(): void {
    this.input({ kind: 'handOver' });
  }

  input(input: Input): void {
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        for (const effect of step(this.#member, next, instantOf(this.#ports.clock))) this.#perform(effect);
      }
    } catch (error) {
      // It must not look like a failure of whoever brought the input.
      return this.#ports.crash(error);
    }
    this.#running = false;
    this.#board.show(this.#member);
  }

  #perform(effect: Effect): void {
    const { peers, log, lease } = this.#ports;
    switch (effect.kind) {
      case 'persist':
        return this.#persist(effect);
      case 'readStream':
        return this.#readStream();
      case 'publish':
        return this.#publish(effect.token, effect.frames, effect.expectedSeq);
      case 'abortPublish':
        return this.#publishing?.abort();
      case 'storeSnapshot':
        return this.#storeSnapshot(effect.token);
      case 'abortStoring':
        return this.#storing?.abort();
      case 'installSnapshot':
        return this.#reload('a snapshot takes the place of the log', 0, effect.id);
      case 'send':
        return peers.send(effect.to, encodeJson(effect.message));
      case 'writeLease':
        if (lease !== null)
          this.#settle(lease.write(effect.holder, effect.version), (result) => ({ kind: 'leaseWritten', result: result ?? 'unavailable' }));
        return;
      case 'answer':
        return this.#submissions.answer(effect.id, effect.result);
      case 'answerRead':
        return this.#reads.answer(effect.id, effect.result);
      case 'applied':
        return;
      case 'reload':
        return this.#reload(effect.reason, 0);
      case 'note':
        log[effect.level](effect.fields, effect.message);
        return;
      case 'askLastSeq':
      case 'fetch':
      case 'load':
      case 'locate':
      case 'checkpoint':
      case 'fetchSnapshot':
      case 'findSnapshot':
      case 'purgeStream':
        return runErrand(effect, this.#ports, (work, toInput) => this.#settle(work, toInput));
    }
  }

  /** An operating failure is a `null` result; anything else is a defect and ends the process. */
  #settle<T>(work: Promise<T>, toInput: (result: T | null) => Input): void {
    const member = this.#member;
    const done = (result: T | null): void => {
      if (member === this.#member) this.input(toInput(result));
    };
    work.then(done, (error: unknown) => {
      if (!isAppError(error)) return this.#ports.crash(error);
      this.#ports.log.debug({ code: error.code, detail: error.detail }, 'request not answered');
      done(null);
    });
  }

  #persist({ token, step: journalStep }: Extract<Effect, { kind: 'persist' }>): void {
    const member = this.#member;
    this.#journalDrained = this.#ports.journal.write(journalStep).then(
      (archived) => {
        if (archived !== null) this.#noteArchived([archived]);
        this.#diskFull = false;
        if (member === this.#member) this.input({ kind: 'persisted', token });
      },
      (error: unknown) => {
        if (!isAppError(error)) return this.#ports.crash(error);
        this.#diskFull = error.code === 'disk_full';
        // All that waited behind it is refused with it: one reload serves them.
        if (member !== this.#member || member.reloading) return;
        this.#ports.log.error({ code: error.code, detail: error.detail }, 'journal does not take the write');
        this.#reload(error.code, reloadDelayMs);
      },
    );
  }

  readonly #noteArchived = (archives: readonly Archive[]): void => {
    for (const each of this.#board.noteArchives(archives)) this.#ports.log.warn({ ...each }, 'discarded changes archived');
  };

  #readStream(): void {
    const generation = (this.#readerGeneration += 1);
    const member = this.#member;
    const onEvent = (event: StreamEvent): void => {
      if (generation !== this.#readerGeneration || member !== this.#member) return;
      if (event.kind === 'message') this.input({ kind: 'streamMessage', seq: event.seq, bytes: event.bytes });
      else if (event.kind === 'restarted') this.input({ kind: 'streamRestarted' });
      else if (event.kind === 'purged') this.input({ kind: 'streamPurged', firstSeq: event.firstSeq });
      else this.input({ kind: 'stream', problem: event.kind === 'connected' ? null : event.reason });
    };
    // A disk that is slower than the network sets the pace.
    this.#ports.stream.read(onEvent, () => this.#journalDrained);
  }

  #publish(token: number, frames: readonly Frame[], expectedSeq: number): void {
    const bytes = packFrames(frames.map((frame) => frame.bytes));
    this.#publishing?.abort();
    const controller = new AbortController();
    this.#publishing = controller;
    this.#settle(this.#ports.stream.publish({ bytes }, expectedSeq, controller.signal), (outcome) => {
      // What is over needs no end, which is an exception with a stack for each frame.
      if (this.#publishing === controller) this.#publishing = null;
      return { kind: 'published', token, seq: outcome?.kind === 'stored' ? outcome.seq : null };
    });
  }

  #storeSnapshot(token: number): void {
    const { journal, snapshots } = this.#ports;
    this.#storing = new AbortController();
    this.#settle(storeSnapshot(journal, snapshots, this.#storing.signal), (origin) => ({ kind: 'snapshotStored', token, origin }));
  }

  /** Everybody who waits is told that the outcome is unknown; then the core begins anew with what the disk has. */
  #reload(reason: string, delayMs: number, snapshot: string | null = null): void {
    this.#ports.log.warn({ reason }, 'reloads from the journal');
    const old = this.#member;
    old.reloading = true;
    this.#publishing?.abort();
    this.#storing?.abort();
    this.#submissions.answerAll({ kind: 'refused', code: 'outcome_unknown', detail: 'this member reloads its journal' });
    this.#reads.answerAll({ kind: 'refused', code: 'no_leader', detail: 'this member reloads its journal' });
    this.#ports.clock.after(delayMs, () => {
      renewMember(this.#ports.journal, this.#options.member, snapshot, this.#noteArchived)
        .then((member) => this.#replace(old, member))
        .catch((error: unknown) => {
          if (!isAppError(error)) return this.#ports.crash(error);
          this.#reload(error.code, reloadDelayMs);
        });
    });
  }

  #replace(old: Member, member: Member): void {
    carryOver(member, old);
    this.#member = member;
    if (this.#record !== null) this.input(this.#record);
    else this.input({ kind: 'tick' });
  }
}
