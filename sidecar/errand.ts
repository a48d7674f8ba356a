// Effects of the core that are one question to an adapter with one answer: what is asked, and the input that brings the answer back.
// It decides nothing, and knows nothing of an answer's place in the order of inputs: that is the runtime's matter.
import { limits } from './core/frame.ts';
import type { Effect, Input } from './core/io.ts';
import type { SnapshotGiver } from './core/snapshot.ts';
import { fetchFrames, locateEnd } from './peer-calls.ts';
import type { Journal, LogStream, Peers, SnapshotStore } from './ports.ts';
import { checkpointAndCompact } from './recovery.ts';
import { receiveSnapshot, snapshotsInNats, snapshotsOfPeer, type SnapshotSource } from './snapshot-exchange.ts';

export interface ErrandPorts {
  readonly journal: Journal;
  readonly stream: LogStream;
  readonly peers: Peers;
  readonly snapshots: SnapshotStore;
}

export type Errand = Extract<
  Effect,
  { kind: 'askLastSeq' | 'fetch' | 'load' | 'locate' | 'checkpoint' | 'fetchSnapshot' | 'findSnapshot' | 'purgeStream' }
>;

/** Waits for `work` and gives the input that is made of its result; of `null` when an operating failure was the end of it. */
export type Settle = <T>(work: Promise<T>, toInput: (result: T | null) => Input) => void;

export function runErrand(effect: Errand, { journal, stream, peers, snapshots }: ErrandPorts, settle: Settle): void {
  const { token } = effect;
  const giverOf = (from: SnapshotGiver): SnapshotSource =>
    from.kind === 'nats' ? snapshotsInNats(snapshots) : snapshotsOfPeer(peers, from.pod);
  switch (effect.kind) {
    case 'askLastSeq':
      return settle(stream.lastSeq(), (seq) => ({ kind: 'lastSeq', token, seq }));
    case 'fetch':
      return settle(fetchFrames(peers, effect.from, effect.fromIndex), (frames) => ({ kind: 'fetched', token, frames: frames ?? [] }));
    case 'load':
      return settle(journal.read(effect.fromIndex, limits.messageBytes), (frames) => ({ kind: 'loaded', token, frames: frames ?? [] }));
    case 'locate':
      return settle(locateEnd(peers, effect.leader, effect.index), (end) => ({ kind: 'located', token, end }));
    case 'checkpoint':
      return settle(checkpointAndCompact(journal, effect.index), (done) => ({ kind: 'checkpointed', token, done }));
    case 'fetchSnapshot':
      return settle(receiveSnapshot(journal, giverOf(effect.from)), (received) => ({ kind: 'snapshotFetched', token, received }));
    case 'purgeStream':
      return settle(stream.purge(effect.beforeSeq), (outcome) => ({ kind: 'purged', token, done: outcome?.kind === 'purged' }));
    case 'findSnapshot':
      return settle(
        snapshots.latest().then((newest) => ({ origin: newest?.origin ?? null })),
        (found) => ({ kind: 'snapshotFound', token, found }),
      );
  }
}
