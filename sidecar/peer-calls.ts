// What one member asks of another on behalf of its core. A peer that does not answer rejects, as `Peers.request` does.
import { decodeLocated, encodeJson, unpackFrames, type LocatedEnd } from './core/message.ts';
import type { Peers } from './ports.ts';

const fetchTimeoutMs = 3000;
const locateTimeoutMs = 1000;

/** Frames of its log from `fromIndex` on; none when the answer is not of the form. */
export async function fetchFrames(peers: Peers, from: string, fromIndex: number): Promise<Uint8Array[]> {
  return unpackFrames(await peers.request(from, encodeJson({ kind: 'frames', fromIndex }), fetchTimeoutMs)) ?? [];
}

/** What the leader's log has at `index`; `null` when the answer is not of the form. */
export async function locateEnd(peers: Peers, leader: string, index: number): Promise<LocatedEnd | null> {
  return decodeLocated(await peers.request(leader, encodeJson({ kind: 'locate', index }), locateTimeoutMs));
}
