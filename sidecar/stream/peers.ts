// Core NATS between the pods of one cluster: at most once and in no order between senders. What cannot be sent at this moment is dropped:
// nothing is kept for a later connection, so that nothing can pile up and nothing old arrives.
import { Empty, ErrorCode, headers, NatsError, type Msg, type NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { AppError } from '../../common/errors.ts';
import { broadcastSubject, peerSubject } from '../../common/names.ts';
import type { Peers } from '../ports.ts';
import { natsReason, subscribe, type NatsLink } from './connection.ts';
import { neededPayloadBytes } from './payload.ts';

/** Requests of others that are being answered at one time; more are refused at once. As many as the changes that a leader queues. */
const maxRequestsUnderWay = 4096;
/** An empty reply with the status that NATS uses for "no responders": the library rejects the request. */
const refusedStatus = 503;

export interface PeersOptions {
  readonly link: NatsLink;
  readonly namespace: string;
  readonly cluster: string;
  readonly pod: string;
  readonly log: Logger;
}

/** `close` forgets the handlers; the link is the caller's. */
export function createPeers({ link, namespace, cluster, pod, log }: PeersOptions): Peers & { close(): void } {
  const subjectOf = (to: string): string => (to === '*' ? broadcastSubject(namespace, cluster) : peerSubject(namespace, cluster, to));
  const requestSubject = (to: string): string => `${peerSubject(namespace, cluster, to)}.request`;
  let onMessage: (payload: Uint8Array) => void = () => undefined;
  let onRequest: ((payload: Uint8Array) => Promise<Uint8Array>) | null = null;
  let underWay = 0;

  const usable = (): NatsConnection | null =>
    link.state.kind === 'connected' && !link.state.connection.isClosed() ? link.state.connection : null;

  const answer = async (message: Msg): Promise<void> => {
    if (onRequest === null || underWay >= maxRequestsUnderWay) {
      message.respond(Empty, { headers: headers(refusedStatus, 'refused') });
      return;
    }
    underWay += 1;
    try {
      const payload = await onRequest(message.data);
      if (usable() !== null) message.respond(payload);
    } catch (error) {
      // Not refused: whoever asks must not take it for undone.
      log.warn({ error: error instanceof Error ? error.message : String(error) }, 'request of a peer failed');
    } finally {
      underWay -= 1;
    }
  };

  const unfollow = link.onState((state) => {
    if (state.kind !== 'connected') return;
    const deliver = (message: Msg): void => {
      onMessage(message.data);
    };
    subscribe(state.connection, subjectOf(pod), deliver);
    subscribe(state.connection, subjectOf('*'), deliver);
    subscribe(state.connection, requestSubject(pod), (message) => {
      void answer(message);
    });
  });

  return {
    send(to, payload) {
      const connection = usable();
      if (connection === null) return;
      if (payload.length > neededPayloadBytes) log.warn({ to, bytes: payload.length }, 'message to a peer is too large and dropped');
      else connection.publish(subjectOf(to), payload);
    },
    onMessage(handler) {
      onMessage = handler;
    },
    async request(to, payload, timeoutMs) {
      const connection = usable();
      if (connection === null) throw new AppError('no_leader', `${to} cannot be asked: there is no connection to NATS.`);
      try {
        return (await connection.request(requestSubject(to), payload, { timeout: timeoutMs })).data;
      } catch (error) {
        const untaken = error instanceof NatsError && error.code === ErrorCode.NoResponders.valueOf();
        throw new AppError(untaken ? 'no_leader' : 'outcome_unknown', `${to} did not answer (${natsReason(error)}).`, error);
      }
    },
    onRequest(handler) {
      onRequest = handler;
    },
    close() {
      unfollow();
    },
  };
}
