// A member taken out of a running cluster: from then on it hears what the test says and nothing else, and each of its steps is looked at.
// Its disk does nothing until the test lets it. What the member asks for is returned, and nobody carries it out.
import type { Frame } from '../../sidecar/core/frame.ts';
import { encodeFrame, lastUid } from '../../sidecar/core/frame.ts';
import type { Effect, Input } from '../../sidecar/core/io.ts';
import { step } from '../../sidecar/core/member.ts';
import { packFrames, type Message, type MessageOf } from '../../sidecar/core/message.ts';
import type { Member } from '../../sidecar/core/state.ts';
import type { Epoch, Position } from '../../common/position.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { MemberWorld } from './member-world.ts';
import { epochOf, put } from './sample-frames.ts';

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

export class LoneMember {
  readonly member: Member;
  #nowMs: number;
  #nonces = 0;

  constructor(world: MemberWorld, pod: string) {
    this.member = world.member(pod);
    this.#nowMs = world.nowMs;
  }

  step(input: Input): Effect[] {
    this.#nonces += 1;
    return step(this.member, input, { nowMs: this.#nowMs, wallMs: this.#nowMs, nonce: `lone${String(this.#nonces).padStart(12, '0')}` });
  }

  hear(message: Message): Effect[] {
    return this.step({ kind: 'message', message });
  }

  /** The stream delivers it. */
  read(frame: Frame): Effect[] {
    return this.step({ kind: 'streamMessage', seq: this.member.reader.seq + 1, bytes: packFrames([frame.bytes]) });
  }

  /** All that was to be written is on the disk. */
  finishWrites(): Effect[] {
    return [...this.member.persisting.keys()].flatMap((token) => this.step({ kind: 'persisted', token }));
  }

  wait(durationMs: number): Effect[] {
    this.#nowMs += durationMs;
    return this.step({ kind: 'tick' });
  }

  get end(): Position {
    return this.member.log.position();
  }

  /** The frame after the end of its log, or after another: a claim, or with `key` a change of it. */
  next(epoch: Epoch, key: string | null = null, after: Frame | null = null): Frame {
    const { index, uid, hash } = after === null ? this.end : { index: after.index, uid: lastUid(after), hash: after.hash };
    const changes = key === null ? [] : [put(key, 'value')];
    const kind = key === null ? 'claim' : 'data';
    const place = { index: index + 1, firstUid: uid + 1, prevHash: hash, timeMs: 0, acknowledgedIndex: 0 };
    return encodeFrame({ version: 1, kind, clusterId: 'cluster', epoch, ...place, changes }, sha256);
  }

  voteRequest(from: string, number: number, position: Position = this.end): MessageOf<'voteRequest'> {
    return { kind: 'voteRequest', from, clusterId: 'cluster', epoch: epochOf(number, from), position };
  }

  /** Of an open leader whose whole log is acknowledged. */
  heartbeat(from: string, epoch: Epoch, acknowledged: Position): MessageOf<'heartbeat'> {
    const ends = { position: acknowledged, acknowledged, baseIndex: 0 };
    return { kind: 'heartbeat', from, clusterId: 'cluster', epoch, opened: true, round: 0, ...ends };
  }

  /** What `from` would report that has all of this log under this promise. */
  report(world: MemberWorld, from: string, changes: Partial<MessageOf<'report'>> = {}): MessageOf<'report'> {
    const { identity, hardState } = world.member(from);
    const facts = { identity, incarnation: hardState.incarnation, promise: this.member.promise, position: this.end };
    return { kind: 'report', from, clusterId: 'cluster', ...facts, baseIndex: 0, eligible: true, synced: true, round: 0, ...changes };
  }
}

export const only = <Kind extends Effect['kind']>(effects: readonly Effect[], kind: Kind): EffectOf<Kind>[] =>
  effects.filter((effect): effect is EffectOf<Kind> => effect.kind === kind);

export const sent = <Kind extends Message['kind']>(effects: readonly Effect[], kind: Kind): MessageOf<Kind>[] =>
  only(effects, 'send').flatMap(({ message }) => (message.kind === kind ? [message as MessageOf<Kind>] : []));
