// Several members of one cluster in one process, for tests that read like the story they tell: starts, crashes, rounds, changes, losses.
// Not a simulator of faults at random.
import type { Frame } from '../../sidecar/core/frame.ts';
import type { ReadResult, SubmitResult } from '../../sidecar/core/io.ts';
import { packFrames, type Message } from '../../sidecar/core/message.ts';
import type { HighWaterMark, StartRound } from '../../common/report.ts';
import { MemberMachinery } from './member-machinery.ts';
import { MemberNode } from './member-node.ts';

export class MemberWorld extends MemberMachinery {
  #founding: StartRound['configuration'] = [];
  #submission = 0;

  crash(pod: string): void {
    this.node(pod).member = null;
  }

  /** SIGSTOP. */
  stop(pod: string): void {
    this.node(pod).stopped = true;
  }

  /** SIGCONT: first comes all that waited. */
  continue(pod: string): void {
    const node = this.node(pod);
    node.stopped = false;
    for (const input of node.unheard.splice(0)) this.input(node, input);
  }

  /** What the operator does when every member waits. */
  openRound(
    designated: string,
    highWaterMark: HighWaterMark | null = null,
    options: Partial<Pick<StartRound, 'generation' | 'claim' | 'configuration'>> = {},
  ): void {
    const claim = { generation: 0, claim: 'elected', configuration: [], ...options } as const;
    if (this.#founding.length === 0) this.#founding = this.disks();
    const sessions = this.nodes.flatMap(({ pod, member, kind }) =>
      member !== null && kind === 'member' ? [{ pod, session: member.config.session }] : [],
    );
    const clusterId = this.nodes.flatMap(({ frames }) => frames[0]?.clusterId ?? [])[0] ?? 'cluster';
    const number = (this.lease.round?.number ?? 0) + 1;
    const openedAt = '2026-01-01T00:00:00Z';
    const configuration = [...(claim.configuration.length === 0 ? this.#founding : claim.configuration)];
    this.writeLease('', {
      version: 1,
      number,
      clusterId,
      ...claim,
      configuration,
      designated,
      counted: sessions,
      highWaterMark,
      openedAt,
    });
  }

  /** Those that the electable members have now. */
  disks(): StartRound['configuration'] {
    return this.nodes.flatMap(({ pod, kind, hardState: { incarnation } }) => (kind === 'member' ? [{ pod, incarnation }] : []));
  }

  /** `spec.members` changes: failover.csv names so many, and pods come; those that go are deleted by who waits for it. */
  resize(members: number): void {
    for (let at = this.members.length; at < members; at += 1) this.nodes.push(new MemberNode(`m-${String(at)}`, 'member'));
    this.name(Array.from({ length: members }, (_, at) => `m-${String(at)}`));
    for (const { pod, member } of this.nodes) if (member === null && this.members.includes(pod)) this.start(pod);
  }

  /** failover.csv names these members. */
  name(members: readonly string[]): void {
    this.members = members;
    for (const node of this.nodes) this.input(node, { kind: 'order', members });
  }

  clearLease(): void {
    this.writeLease('', this.lease.round);
  }

  submit(pod: string, key: string, value: string, idempotencyKey?: string): () => SubmitResult | undefined {
    const node = this.node(pod);
    const id = (this.#submission += 1);
    const change = { operations: [{ put: { key, value } }], ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
    this.input(node, { kind: 'submit', id, change, bytes: JSON.stringify(change).length });
    return () => node.results.get(id);
  }

  /** A linearizable read on a leader. */
  read(pod: string): () => ReadResult | undefined {
    const node = this.node(pod);
    const id = (this.#submission += 1);
    this.input(node, { kind: 'read', id });
    return () => node.reads.get(id);
  }

  /** A message of another member, as the test invents it. */
  tell(pod: string, message: Message): void {
    this.input(this.node(pod), { kind: 'message', message });
  }

  /** A message of the stream, as the test invents it. */
  deliver(pod: string, seq: number, { bytes }: Frame): void {
    this.input(this.node(pod), { kind: 'streamMessage', seq, bytes: packFrames([bytes]) });
  }

  /** A person says that what this member has of its own may go. */
  discardLocal(pod: string): void {
    this.input(this.node(pod), { kind: 'discardLocal' });
  }

  handOver(pod: string): void {
    this.input(this.node(pod), { kind: 'handOver' });
  }

  /** A person wants `to` to lead, and the operator tells this member; the same request again and again. */
  switchOver(pod: string, to: string, request = 'first'): void {
    this.input(this.node(pod), { kind: 'switchOver', to, request });
  }

  /** The stream loses all after its first `length` messages: readers beyond it begin anew. */
  loseStreamAfter(length: number): void {
    this.stream.length = length;
    for (const node of this.nodes) {
      if (node.readAfter === null || node.readAfter <= length) continue;
      node.readAfter = 0;
      this.input(node, { kind: 'streamRestarted' });
    }
  }
}
