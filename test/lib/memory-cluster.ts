// Real runtimes of one cluster in one process, on adapters in memory: the loop around the core, its callers and its time.
import { pino } from 'pino';
import { systemClock } from '../../sidecar/clock.ts';
import { LocalProcess } from '../../sidecar/control-process.ts';
import type { MemberReport } from '../../common/report.ts';
import type { OwnPod } from '../../sidecar/ports.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import { Runtime } from '../../sidecar/runtime.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { createSnapshotStore } from '../../sidecar/stream/snapshot-store.ts';
import { eventually } from './eventually.ts';
import { emptyMemoryDisk, MemoryJournal, type MemoryDisk } from './memory-journal.ts';
import { MemoryLease, MemoryLeaseServer } from './memory-lease.ts';
import { MemoryPeers, MemoryPeersServer } from './memory-peers.ts';
import { SimJetStreamServer } from './sim-jetstream.ts';
import { seededRandom } from './virtual-clock.ts';

/** A defect fails the test that runs. */
const crash = (error: unknown): void => {
  setImmediate(() => {
    throw error;
  });
};

const timings = { leaseDurationMs: 6000, renewDeadlineMs: 4000, retryPeriodMs: 1000 };

/** The API server takes each report at once. */
class MemoryOwnPod implements OwnPod {
  reported: MemberReport | null = null;
  #onReported: (session: string) => void = () => undefined;

  recorded(onRecord: (record: null) => void): void {
    onRecord(null);
  }

  onReported(handler: (session: string) => void): void {
    this.#onReported = handler;
  }

  onDiscard(): void {}

  onSwitchover(): void {}

  report(report: MemberReport): void {
    this.reported = report;
    setImmediate(() => this.#onReported(report.session));
  }

  labelRole(): void {}
}

interface Sidecar {
  readonly pod: string;
  readonly disk: MemoryDisk;
  readonly journal: MemoryJournal;
  readonly runtime: Runtime;
  readonly process: LocalProcess;
  /** What the member Lease holds. */
  readonly reported: () => MemberReport | null;
  readonly close: () => void;
}

export class MemoryCluster {
  readonly sidecars: Sidecar[] = [];
  /** Messages that were logged as warnings or worse, by all. */
  readonly warnings: string[] = [];
  readonly #log = pino({ level: 'warn' }, { write: (line) => this.warnings.push((JSON.parse(line) as { msg: string }).msg) });
  readonly #lease = new MemoryLeaseServer(timings.leaseDurationMs);
  readonly #nats = new SimJetStreamServer({ clock: systemClock, random: seededRandom(1) });
  readonly #snapshots = new SimJetStreamServer({ clock: systemClock, random: seededRandom(2) });
  readonly #peers = new MemoryPeersServer();

  /** Resolves when `m-0` leads and all others follow; with these disks, as far as they are given. */
  static async running(members: number, disks: Readonly<Record<string, MemoryDisk>> = {}): Promise<MemoryCluster> {
    const cluster = new MemoryCluster();
    const pods = Array.from({ length: members }, (_, at) => `m-${String(at)}`);
    for (const pod of pods) await cluster.#start(pod, disks[pod] ?? emptyMemoryDisk());
    for (const { runtime } of cluster.sidecars) {
      runtime.setOrder(pods);
      runtime.setConnection(null);
      runtime.start();
    }
    await eventually(() => {
      for (const { pod, runtime } of cluster.sidecars)
        if (runtime.member.disk !== 'registered') throw new Error(`${pod} is not registered`);
    });
    cluster.#lease.openRound({
      version: 1,
      number: 1,
      clusterId: 'cluster',
      generation: 0,
      designated: 'm-0',
      claim: 'elected',
      configuration: cluster.sidecars.map(({ pod, runtime }) => ({ pod, incarnation: runtime.member.hardState.incarnation })),
      counted: cluster.sidecars.map(({ pod, runtime }) => ({ pod, session: runtime.member.config.session })),
      highWaterMark: null,
      openedAt: '2026-01-01T00:00:00Z',
    });
    await eventually(() => {
      for (const { pod, process } of cluster.sidecars) {
        const { phase } = process.report();
        if (phase !== (pod === 'm-0' ? 'Leading' : 'Following')) throw new Error(`${pod} is ${phase}`);
      }
    });
    return cluster;
  }

  sidecar(pod: string): Sidecar {
    const found = this.sidecars.find((sidecar) => sidecar.pod === pod);
    if (found === undefined) throw new Error(`no sidecar ${pod}`);
    return found;
  }

  stop(): void {
    for (const { runtime, close } of this.sidecars) {
      runtime.stop();
      close();
    }
  }

  async #start(pod: string, disk: MemoryDisk): Promise<void> {
    const journal = new MemoryJournal(disk);
    const jetstream = this.#nats.open();
    const names = { stream: 'CC_space_sample', subject: 'cc.space.sample.log' };
    const stream = createLogStream({ ...names, jetstream, mayCreate: true, clock: systemClock, sha256, log: this.#log });
    const subjects = ['cc.space.sample.snapshot.0', 'cc.space.sample.snapshot.1'] as const;
    const stored = this.#snapshots.open();
    const snapshots = createSnapshotStore({ jetstream: stored, subjects, clock: systemClock, sha256, log: this.#log });
    const peers = new MemoryPeers(this.#peers, pod);
    const lease = new MemoryLease(this.#lease);
    const ownPod = new MemoryOwnPod();
    const member = {
      pod,
      podUid: `uid-${pod}`,
      session: `session-${pod}`,
      kind: 'member',
      checkpointBytes: 1_000_000,
      upkeepMs: 1_000_000,
      retainedFrames: 10,
      orphanFrames: 4096,
      timings,
      sha256,
    } as const;
    const options = { address: `${pod}:5000`, version: 'test' };
    const runtime = await Runtime.create(
      { journal, stream, snapshots, peers, lease, ownPod, clock: systemClock, crash, log: this.#log },
      { ...options, member: { ...member, durability: 'Quorum', divergedMember: 'Archive' } },
    );
    const process = new LocalProcess({ runtime, journal, peers, clock: systemClock, log: this.#log });
    const close = (): void => {
      stream.close();
      jetstream.close();
      snapshots.close();
      stored.close();
      peers.close();
      lease.close();
    };
    this.sidecars.push({ pod, disk, journal, runtime, process, reported: () => ownPod.reported, close });
  }
}
