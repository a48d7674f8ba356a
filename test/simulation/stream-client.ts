// What one simulated process has of JetStream: the log and the snapshots of sidecar/stream as they are, on a connection of its own to the
// simulated servers. What it hears comes by the clock of the process: a dead one hears nothing, one that stands still hears it late.
import type { Logger } from 'pino';
import type { SimJetStream } from '../lib/sim-jetstream-client.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Clock, LogStream, SnapshotStore } from '../../sidecar/ports.ts';
import type { JetStreamState } from '../../sidecar/stream/jetstream-port.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { createSnapshotStore } from '../../sidecar/stream/snapshot-store.ts';
import type { Chance } from './chance.ts';
import type { SimulatedHost, World } from './world.ts';

/** A server that is silent is given up after so long, at most (`pingIntervalMs` and `maxPingsOut` of stream/connection.ts). */
const maxNoticeMs = 3000;

type StreamClientWorld = Pick<World, 'streams' | 'oracles' | 'chance'>;
type StreamClientHost = Pick<SimulatedHost, 'pod' | 'kind' | 'natsReachable'>;

export class StreamClient {
  readonly log: LogStream;
  readonly snapshots: SnapshotStore;
  readonly #chance: Chance;
  readonly #logConnection: SimJetStream;
  readonly #connections: readonly SimJetStream[];

  constructor({ streams, oracles, chance }: StreamClientWorld, host: StreamClientHost, clock: Clock, log: Logger) {
    const jetstream = streams.log.open(clock);
    const snapshots = streams.snapshots.open(clock);
    this.#chance = chance;
    this.#logConnection = jetstream;
    this.#connections = [jetstream, snapshots];
    if (!host.natsReachable) this.cut();
    const mayCreate = host.kind === 'member';
    const stream = createLogStream({ jetstream, stream: 'CC_sim', subject: 'cc.sim.log', mayCreate, clock, sha256, log });
    this.log = {
      ...stream,
      publish(frame, expectedSeq, signal) {
        oracles.published(host.pod, host.kind, frame);
        return stream.publish(frame, expectedSeq, signal);
      },
    };
    this.snapshots = createSnapshotStore({
      jetstream: snapshots,
      subjects: ['cc.sim.snapshot.0', 'cc.sim.snapshot.1'],
      clock,
      sha256,
      log,
    });
  }

  onState(listener: (state: JetStreamState) => void): void {
    this.#logConnection.onState(listener);
  }

  /** Nothing passes any more; the process notices some time later. */
  cut(): void {
    const noticeMs = this.#chance.between(1, maxNoticeMs);
    for (const connection of this.#connections) connection.cut(noticeMs);
  }

  heal(): void {
    for (const connection of this.#connections) connection.heal();
  }

  /** The server ends the connections; others may be made at once. */
  disconnect(): void {
    for (const connection of this.#connections) connection.lose('the NATS server closed the connection');
  }

  /** The reader gets heartbeats and no messages. */
  stall(durationMs: number): void {
    this.#logConnection.holdDeliveries(durationMs);
  }

  /** The process has ended. */
  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}
