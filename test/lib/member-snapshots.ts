// What a MemberWorld has of checkpoints and snapshots: those on the disks of its nodes, and the newest one in NATS.
// It keeps the frames that a snapshot stands for; a disk or NATS would hold the state that they make.
import { emptyPosition, type Position } from '../../common/position.ts';
import type { Frame } from '../../sidecar/core/frame.ts';
import type { Effect, Input } from '../../sidecar/core/io.ts';
import type { ReceivedSnapshot } from '../../sidecar/core/snapshot.ts';
import { headOf, type MemberNode } from './member-node.ts';

type SnapshotEffect = Extract<Effect, { kind: 'checkpoint' | 'fetchSnapshot' | 'findSnapshot' | 'storeSnapshot' }>;

export class MemberSnapshots {
  /** The newest one that is whole in NATS: the frames that it is the state of. */
  stored: readonly Frame[] | null = null;
  /** How often one was stored. */
  count = 0;
  /** Pods that give none. */
  readonly silent = new Set<string>();
  /** NATS answers nobody who asks for snapshots. */
  away = false;

  /** The last frame that the stored one holds. */
  end(): Position {
    return headOf(this.stored ?? [])?.position ?? emptyPosition;
  }

  /** `peer` gives `null` for one that is out of reach, or down. */
  answer(effect: SnapshotEffect, node: MemberNode, peer: (pod: string) => MemberNode | null): Input {
    const { token } = effect;
    switch (effect.kind) {
      case 'checkpoint':
        return { kind: 'checkpointed', token, done: node.makeCheckpoint(effect.index) };
      case 'fetchSnapshot':
        node.received = (effect.from.kind === 'nats' ? this.#inNats() : this.#newestOf(peer(effect.from.pod))) ?? [];
        return { kind: 'snapshotFetched', token, received: offerOf(node.received) };
      case 'findSnapshot':
        return { kind: 'snapshotFound', token, found: this.away ? null : { origin: headOf(this.#inNats() ?? []) } };
      case 'storeSnapshot':
        return { kind: 'snapshotStored', token, origin: this.#store(node) };
    }
  }

  #inNats(): readonly Frame[] | null {
    return this.away ? null : this.stored;
  }

  /** Made now when it has none. */
  #newestOf(peer: MemberNode | null): readonly Frame[] | null {
    if (peer === null || this.silent.has(peer.pod)) return null;
    if (peer.checkpoints.length === 0 && peer.member !== null) peer.makeCheckpoint(peer.member.store.index);
    return peer.checkpoints.at(-1) ?? null;
  }

  #store(node: MemberNode): ReturnType<typeof headOf> {
    const newest = node.checkpoints.at(-1);
    if (this.away || newest === undefined) return null;
    this.stored = newest;
    this.count += 1;
    return headOf(newest);
  }
}

function offerOf(snapshot: readonly Frame[]): ReceivedSnapshot | null {
  const head = headOf(snapshot);
  return head === null ? null : { id: head.position.hash, head };
}
