// What lies under a MemberWorld: members, one stream, one Lease and a network, driven by hand. Each effect of the core is carried out in memory, in the order of a
// queue; time moves only with `run`. What a test can do in such a world is in member-world.ts.
import { packFrames } from '../../sidecar/core/message.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import { locate } from '../../sidecar/core/log.ts';
import type { Effect, Input } from '../../sidecar/core/io.ts';
import type { LeaseRecord } from '../../sidecar/core/lease.ts';
import { step } from '../../sidecar/core/member.ts';
import { phaseOf } from '../../sidecar/core/phase.ts';
import { carryOver, type Member, type MemberConfig } from '../../sidecar/core/state.ts';
import { MemberNode } from './member-node.ts';
import { MemberSnapshots } from './member-snapshots.ts';

const tickMs = 50;
const leasePollMs = 1000;

export class MemberMachinery {
  readonly nodes: MemberNode[];
  readonly stream: (readonly Frame[])[] = [];
  /** The messages up to this one were purged. */
  purgedSeq = 0;
  readonly snapshots = new MemberSnapshots();
  lease: LeaseRecord = { holder: '', leaseDurationMs: 6000, version: '0', round: null };
  nowMs = 1000;
  /** How long the API server takes to write the Lease. */
  leaseDelayMs = 0;
  /** Pods whose messages, stream and Lease are out of reach. */
  readonly cut = new Set<string>();
  /** Pods to which the stream delivers nothing. */
  readonly stalled = new Set<string>();
  /** The API server answers nobody. */
  apiAway = false;
  /** Pods that the API server does not answer. */
  readonly apiCut = new Set<string>();
  /** Pods that see a Lease of their own in the place of the one there is, and write to it. */
  readonly otherLease = new Map<string, LeaseRecord>();
  /** The stream takes frames and does not say so. */
  silentStream = false;
  protected members: readonly string[];
  protected readonly options: Partial<MemberConfig>;
  readonly #work: (() => void)[] = [];
  readonly #delayed: { readonly atMs: number; readonly work: () => void }[] = [];
  #nonce = 0;

  constructor(members: number, options: Partial<MemberConfig> = {}, replicas = 0) {
    this.options = options;
    this.nodes = [
      ...Array.from({ length: members }, (_, at) => new MemberNode(`m-${String(at)}`, 'member')),
      ...Array.from({ length: replicas }, (_, at) => new MemberNode(`m-dr-${String(at)}`, 'dr')),
    ];
    this.members = this.nodes.filter(({ kind }) => kind === 'member').map(({ pod }) => pod);
  }

  node(pod: string): MemberNode {
    const found = this.nodes.find((node) => node.pod === pod);
    if (found === undefined) throw new Error(`no node ${pod}`);
    return found;
  }

  member(pod: string): Member {
    const { member } = this.node(pod);
    if (member === null) throw new Error(`${pod} is down`);
    return member;
  }

  phase(pod: string): string {
    return phaseOf(this.member(pod)).phase;
  }

  leader(): string | null {
    return this.nodes.find(({ member }) => member?.role.kind === 'leader')?.pod ?? null;
  }

  start(pod: string): void {
    const node = this.node(pod);
    node.start(this.options);
    this.input(node, { kind: 'order', members: this.members });
    this.input(node, { kind: 'connection', problem: null });
    this.#askRecord(node);
  }

  /** Lets time pass until the condition holds; throws when it does not within `limitMs`. */
  until(what: string, condition: () => boolean, limitMs = 20_000): void {
    const endMs = this.nowMs + limitMs;
    while (!condition()) {
      if (this.nowMs > endMs) throw new Error(`never: ${what}; ${this.describe()}`);
      this.run(tickMs);
    }
  }

  describe(): string {
    return this.nodes.map((node) => node.describe()).join('; ');
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.nowMs < endMs) {
      this.nowMs += tickMs;
      for (const due of this.#delayed.filter(({ atMs }) => atMs <= this.nowMs)) {
        this.#delayed.splice(this.#delayed.indexOf(due), 1);
        this.#work.push(due.work);
      }
      for (const node of this.nodes) {
        this.input(node, { kind: 'tick' });
        this.#askRecord(node);
        this.#report(node);
      }
      if (this.nowMs % leasePollMs < tickMs) this.#pollLease();
      this.#drain();
    }
  }

  #apiReaches(node: MemberNode): boolean {
    return node.kind === 'member' && !this.apiAway && !this.apiCut.has(node.pod) && !this.cut.has(node.pod);
  }

  #askRecord(node: MemberNode): void {
    if (this.#apiReaches(node) && node.member?.disk === 'unverified') this.input(node, { kind: 'recorded', record: node.record });
  }

  /** On the member Lease. */
  #report(node: MemberNode): void {
    const { member } = node;
    if (member === null || !this.#apiReaches(node) || (member.disk !== 'registering' && member.disk !== 'registered')) return;
    node.record = { session: member.config.session, ...member.durable };
    this.input(node, { kind: 'reported', session: member.config.session });
  }

  /** A poll tells the Lease again, changed or not. */
  #pollLease(): void {
    for (const node of this.nodes) {
      if (this.#apiReaches(node)) this.input(node, { kind: 'lease', record: this.#leaseFor(node) });
    }
  }

  #leaseFor({ pod }: MemberNode): LeaseRecord {
    return this.otherLease.get(pod) ?? this.lease;
  }

  #reaches(a: string, b: string): boolean {
    return !this.cut.has(a) && !this.cut.has(b);
  }

  protected writeLease(holder: string, round: LeaseRecord['round']): void {
    this.lease = { ...this.lease, holder, round, version: String(Number(this.lease.version) + 1) };
  }

  #drain(): void {
    for (const node of this.nodes) this.#deliver(node);
    for (let next = this.#work.shift(); next !== undefined; next = this.#work.shift()) {
      next();
      for (const node of this.nodes) this.#deliver(node);
    }
  }

  /** The Lease as it is, and the next message of the stream. */
  #deliver(node: MemberNode): void {
    if (node.member === null || this.cut.has(node.pod)) return;
    const lease = this.#leaseFor(node);
    if (this.#apiReaches(node) && node.member.lease.record?.version !== lease.version) this.input(node, { kind: 'lease', record: lease });
    const purged = this.stalled.has(node.pod) || node.stopped ? null : node.skipPurged(this.purgedSeq);
    if (purged !== null) this.input(node, purged);
    while (!this.stalled.has(node.pod) && !node.stopped && node.readAfter !== null && node.readAfter < this.stream.length) {
      const frames = this.stream[node.readAfter] ?? [];
      node.readAfter += 1;
      this.input(node, { kind: 'streamMessage', seq: node.readAfter, bytes: packFrames(frames.map(({ bytes }) => bytes)) });
    }
  }

  protected input(node: MemberNode, input: Input): void {
    if (node.member === null) return;
    if (node.stopped) {
      if (input.kind !== 'tick') node.unheard.push(input);
      return;
    }
    this.#nonce += 1;
    const effects = step(node.member, input, {
      nowMs: this.nowMs,
      wallMs: this.nowMs + node.wallOffsetMs,
      nonce: String(this.#nonce).padStart(16, '0'),
    });
    for (const effect of effects) this.#perform(node, node.member, effect);
  }

  /** Carries an effect out later, unless the member has crashed by then. */
  #later(node: MemberNode, member: Member, work: () => Input | null): void {
    this.#work.push(() => {
      if (node.member !== member) return;
      const input = work();
      if (input !== null) this.input(node, input);
    });
  }

  /** The process goes on with what the disk has. */
  #reload(node: MemberNode, before: Member): void {
    if (node.member !== before) return;
    carryOver(node.build(before.config), before);
    this.input(node, { kind: 'recorded', record: node.record });
  }

  #perform(node: MemberNode, member: Member, effect: Effect): void {
    switch (effect.kind) {
      case 'persist':
        return this.#later(node, member, () => {
          node.persist(effect.step);
          return { kind: 'persisted', token: effect.token };
        });
      case 'checkpoint':
      case 'fetchSnapshot':
      case 'findSnapshot':
      case 'storeSnapshot':
        return this.#later(node, member, () => this.snapshots.answer(effect, node, (pod) => this.#peer(node, pod)));
      case 'installSnapshot':
        this.#work.push(() => {
          if (node.member !== member) return;
          node.installSnapshot();
          this.#reload(node, member);
        });
        return;
      case 'readStream':
        node.readAfter = 0;
        return;
      case 'askLastSeq':
        return this.#later(node, member, () => ({
          kind: 'lastSeq',
          token: effect.token,
          seq: this.cut.has(node.pod) ? null : this.stream.length,
        }));
      case 'publish':
        return this.#later(node, member, () => {
          if (this.cut.has(node.pod) || this.silentStream) return null;
          const stored = this.stream.length === effect.expectedSeq;
          if (stored) this.stream.push(effect.frames);
          return { kind: 'published', token: effect.token, seq: stored ? this.stream.length : null };
        });
      case 'fetch':
        return this.#later(node, member, () => ({
          kind: 'fetched',
          token: effect.token,
          frames: this.#peer(node, effect.from)?.answerWith(effect.fromIndex) ?? [],
        }));
      case 'load':
        return this.#later(node, member, () => ({ kind: 'loaded', token: effect.token, frames: node.framesFrom(effect.fromIndex) }));
      case 'locate':
        return this.#later(node, member, () => {
          const leader = this.#peer(node, effect.leader)?.member ?? null;
          return { kind: 'located', token: effect.token, end: leader === null ? null : locate(leader.log, effect.index) };
        });
      case 'send':
        for (const to of this.nodes) {
          if (to === node || (effect.to !== '*' && effect.to !== to.pod)) continue;
          this.#work.push(() => {
            if (this.#reaches(node.pod, to.pod)) this.input(to, { kind: 'message', message: effect.message });
          });
        }
        return;
      case 'writeLease':
        this.#delayed.push({ atMs: this.nowMs + this.leaseDelayMs, work: () => this.#answerLease(node, member, effect) });
        return;
      case 'answer':
        node.results.set(effect.id, effect.result);
        return;
      case 'reload':
        this.#work.push(() => this.#reload(node, member));
        return;
      case 'answerRead':
        node.reads.set(effect.id, effect.result);
        return;
      case 'purgeStream':
        this.purgedSeq = Math.max(this.purgedSeq, effect.beforeSeq - 1);
        return this.#later(node, member, () => ({ kind: 'purged', token: effect.token, done: true }));
      case 'abortPublish':
      case 'abortStoring':
      case 'applied':
      case 'note':
        return;
    }
  }

  #answerLease(node: MemberNode, member: Member, { holder, version }: Extract<Effect, { kind: 'writeLease' }>): void {
    const seen = this.#leaseFor(node);
    const current = seen.version === version && this.#apiReaches(node);
    if (current && seen !== this.lease) this.otherLease.set(node.pod, { ...seen, holder, version: `${version}+` });
    else if (current) this.writeLease(holder, this.lease.round);
    const refused = this.#apiReaches(node) ? 'conflict' : 'unavailable';
    this.#later(node, member, () => ({ kind: 'leaseWritten', result: current ? 'written' : refused }));
  }

  /** `null` when it is out of reach, down, or not there: a strange configuration may name anybody. */
  #peer(node: MemberNode, pod: string): MemberNode | null {
    const peer = this.nodes.find((each) => each.pod === pod);
    return this.#reaches(node.pod, pod) && peer?.member ? peer : null;
  }
}
