// The loop around the core: inputs from the adapters go in one at a time, effects go out to them, completions come back as inputs.
// It decides nothing about the protocol. One instance lives as long as the process; a reload builds the core anew from the journal.
import type { Logger } from 'pino';
import { isAppError } from '../common/errors.ts';
import type { Change, Frame } from './core/frame.ts';
import type { Effect, Input, ReadResult, SubmitResult } from './core/io.ts';
import { step } from './core/member.ts';
import { decodeMessage, encodeJson } from './core/message.ts';
import { fetchFrames, locateEnd } from './peer-calls.ts';
import type { Member, MemberConfig } from './core/state.ts';
import type { Clock, Journal, LeaderLease, LogStream, OwnPod, Peers, StreamEvent } from './ports.ts';
import { Callers } from './callers.ts';
import { instantOf, recoverMember, reloadMember } from './recovery.ts';
import { memberReport, outlineOf } from './member-report.ts';

export const tickMs = 50;
const reloadDelayMs = 1000;

export interface RuntimePorts {
  readonly journal: Journal;
  readonly stream: LogStream;
  readonly peers: Peers;
  /** `null` for a DR replica: it may not touch the leader Lease at all (I4). */
  readonly lease: LeaderLease | null;
  readonly ownPod: OwnPod;
  readonly clock: Clock;
  /** Ends the process: after a defect nobody knows its state. */
  readonly crash: (error: unknown) => void;
  readonly log: Logger;
}

export interface RuntimeOptions {
  readonly member: MemberConfig;
  /** `host:port` of the Process API. */
  readonly address: string;
  readonly version: string;
}

export class Runtime {
  readonly #ports: RuntimePorts;
  readonly #options: RuntimeOptions;
  #member: Member;
  readonly #inputs: Input[] = [];
  #running = false;
  readonly #submissions = new Callers<SubmitResult>();
  readonly #reads = new Callers<ReadResult>();
  readonly #listeners = new Set<() => void>();
  #publishing: AbortController | null = null;
  #readerGeneration = 0;
  #shown = '';
  /** Settles when all that was given to the journal is durable or refused. */
  #journalDrained: Promise<void> = Promise.resolve();
  #cancelTick: () => void = () => undefined;
  #order: readonly string[] = [];
  #connectionProblem: string | null = null;
  /** What the member Lease held before this process wrote to it; `null` until the API server has answered. */
  #record: Input | null = null;

  private constructor(ports: RuntimePorts, options: RuntimeOptions, member: Member) {
    this.#ports = ports;
    this.#options = options;
    this.#member = member;
  }

  /** Reads the journal and is ready to start. Rejects as `Journal.recovered` does. */
  static async create(ports: RuntimePorts, options: RuntimeOptions): Promise<Runtime> {
    return new Runtime(ports, options, await recoverMember(ports.journal, options.member));
  }

  get member(): Member {
    return this.#member;
  }

  start(): void {
    const { lease, peers, ownPod } = this.#ports;
    ownPod.onReported((session) => this.input({ kind: 'reported', session }));
    ownPod.onDiscard((session) => {
      if (session === this.#options.member.session) this.input({ kind: 'discardLocal' });
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
  }

  #tickLater(): void {
    this.#cancelTick = this.#ports.clock.after(tickMs, () => {
      this.#tickLater();
      this.input({ kind: 'tick' });
    });
  }

  /** Electable members in the order of failover.csv. */
  setOrder(members: readonly string[]): void {
    this.#order = members;
    this.input({ kind: 'order', members });
  }

  /** Why NATS cannot be reached, in a sentence for people; `null` when it can. */
  setConnection(problem: string | null): void {
    this.#connectionProblem = problem;
    this.input({ kind: 'connection', problem });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
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
    this.#publishStatus();
  }

  #perform(effect: Effect): void {
    const { peers, log, lease } = this.#ports;
    switch (effect.kind) {
      case 'persist':
        return this.#persist(effect);
      case 'readStream':
        return this.#readStream(effect.afterSeq, effect.hash);
      case 'askLastSeq':
        return this.#settle(this.#ports.stream.lastSeq(), (seq) => ({ kind: 'lastSeq', token: effect.token, seq }));
      case 'publish':
        return this.#publish(effect.token, effect.frame, effect.expectedSeq);
      case 'abortPublish':
        return this.#publishing?.abort();
      case 'fetch':
        return this.#settle(fetchFrames(peers, effect.from, effect.fromIndex), (frames) => ({
          kind: 'fetched',
          token: effect.token,
          frames: frames ?? [],
        }));
      case 'load':
        return this.#load(effect.token, effect.fromIndex);
      case 'locate':
        return this.#settle(locateEnd(peers, effect.leader, effect.index), (end) => ({ kind: 'located', token: effect.token, end }));
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
        if (archived !== null) this.#ports.log.warn({ ...archived }, 'discarded changes archived');
        if (member === this.#member) this.input({ kind: 'persisted', token });
      },
      (error: unknown) => {
        if (!isAppError(error)) return this.#ports.crash(error);
        // All that waited behind it is refused with it: one reload serves them.
        if (member !== this.#member || member.reloading) return;
        this.#ports.log.error({ code: error.code, detail: error.detail }, 'journal does not take the write');
        this.#reload(error.code, reloadDelayMs);
      },
    );
  }

  #readStream(afterSeq: number, hash: string): void {
    const generation = (this.#readerGeneration += 1);
    const member = this.#member;
    const onEvent = (event: StreamEvent): void => {
      if (generation !== this.#readerGeneration || member !== this.#member) return;
      if (event.kind === 'frame') this.input({ kind: 'streamFrame', seq: event.seq, bytes: event.bytes });
      else if (event.kind === 'restarted') this.input({ kind: 'streamRestarted' });
      else if (event.kind !== 'purged') this.input({ kind: 'stream', problem: event.kind === 'connected' ? null : event.reason });
    };
    // A disk that is slower than the network sets the pace.
    this.#ports.stream.read(afterSeq, hash, onEvent, () => this.#journalDrained);
  }

  #publish(token: number, frame: Frame, expectedSeq: number): void {
    this.#publishing?.abort();
    const controller = new AbortController();
    this.#publishing = controller;
    this.#settle(this.#ports.stream.publish(frame, expectedSeq, controller.signal), (outcome) => ({
      kind: 'published',
      token,
      seq: outcome?.kind === 'stored' ? outcome.seq : null,
    }));
  }

  #load(token: number, fromIndex: number): void {
    this.#settle(this.#ports.journal.read(fromIndex, 1), (frames) => ({
      kind: 'loaded',
      token,
      frames: (frames ?? []).map(({ frame }) => frame),
    }));
  }

  /** Everybody who waits is told that the outcome is unknown; then the core begins anew with what the disk has. */
  #reload(reason: string, delayMs: number): void {
    this.#ports.log.warn({ reason }, 'reloads from the journal');
    const old = this.#member;
    old.reloading = true;
    this.#publishing?.abort();
    this.#submissions.answerAll({ kind: 'refused', code: 'outcome_unknown', detail: 'this member reloads its journal' });
    this.#reads.answerAll({ kind: 'refused', code: 'no_leader', detail: 'this member reloads its journal' });
    this.#ports.clock.after(delayMs, () => {
      // A write of nothing is durable only after all the steps before it.
      this.#ports.journal
        .write({})
        .then(() => reloadMember(this.#ports.journal, this.#options.member))
        .then((member) => this.#replace(old, member))
        .catch((error: unknown) => {
          if (!isAppError(error)) return this.#ports.crash(error);
          this.#reload(error.code, reloadDelayMs);
        });
    });
  }

  #replace(old: Member, member: Member): void {
    member.lease.observe(old.lease.record, this.#ports.clock.nowMs());
    // This process goes on: it keeps its place in the round, and what it had joined.
    member.join = old.join;
    member.followed = old.followed;
    member.synced = old.synced;
    member.stopping = old.stopping;
    member.opened = old.opened;
    if (old.disk === 'registered') member.disk = 'registered';
    this.#member = member;
    if (this.#record !== null) this.input(this.#record);
    this.input({ kind: 'order', members: this.#order });
    this.input({ kind: 'connection', problem: this.#connectionProblem });
  }

  /** Tells Kubernetes and the listeners what changed; nothing when nothing did. */
  #publishStatus(): void {
    const m = this.#member;
    const shown = outlineOf(m);
    if (shown === this.#shown) return;
    this.#shown = shown;
    // The record of the process before stands until this one knows which disk it has.
    if (m.disk === 'registering' || m.disk === 'registered') this.#ports.ownPod.report(memberReport(m, this.#options));
    this.#ports.ownPod.labelRole(m.config.kind === 'dr' ? 'dr' : m.role.kind === 'leader' ? 'leader' : 'follower');
    for (const listener of this.#listeners) listener();
  }
}
