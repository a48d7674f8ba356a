// A log stream with the world around it, real or simulated, and what a test can do to that world; and a reader that notes what it is told.
import { pino } from 'pino';
import { logSubject, snapshotStreamName, snapshotSubjects, streamName } from '../../common/names.ts';
import { systemClock } from '../../sidecar/clock.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream, SnapshotStore, StreamEvent } from '../../sidecar/ports.ts';
import { connectNats } from '../../sidecar/stream/connection.ts';
import type { JetStream } from '../../sidecar/stream/jetstream-port.ts';
import { createJetStream } from '../../sidecar/stream/jetstream.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { createSnapshotStore } from '../../sidecar/stream/snapshot-store.ts';
import { eventually } from './eventually.ts';
import { fastClock } from './fast-clock.ts';
import { NatsAdmin } from './nats-admin.ts';
import { NatsProxy } from './nats-proxy.ts';
import { NatsServer } from './nats-server.ts';
import { SimJetStreamServer } from './sim-jetstream.ts';
import { seededRandom } from './virtual-clock.ts';

export const sampleStream = streamName('space', 'sample');
export const sampleSubject = logSubject('space', 'sample');
export const withinMs = 15_000;
/** Of the simulated server. */
const timesFaster = 20;
const log = pino({ level: 'silent' });

export interface StreamWorld {
  readonly subject: string;
  open(mayCreate: boolean): LogStream;
  /** The calls below the log, on its stream. */
  openJetStream(): JetStream;
  /** The snapshots of the same cluster, on a stream of their own. */
  openSnapshots(): SnapshotStore;
  /** How many messages that stream holds. */
  snapshotMessages(): Promise<number>;
  loseNextFrame(): void;
  loseNextAnswer(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Keeps what is stored, and puts it back later: all that came between is lost. */
  save(): Promise<void>;
  restore(): Promise<void>;
  purge(beforeSeq: number): Promise<void>;
  remove(): Promise<void>;
  removeConsumers(): Promise<number>;
  drop(): Promise<void>;
}

/** A client of its own, with its own connection. */
export function openOnNats(
  url: string,
  { mayCreate = true, replicas = 1, name = sampleStream, subject = sampleSubject } = {},
): { stream: LogStream; jetstream: JetStream; close: () => Promise<void> } {
  const link = connectNats({ url, name: 'test', credentialsDirectory: null, caFile: null, log });
  const jetstream = createJetStream(link, { name, subjects: [subject], replicas });
  const stream = createLogStream({ jetstream, stream: name, subject, mayCreate, clock: systemClock, sha256, log });
  return {
    stream,
    jetstream,
    async close() {
      stream.close();
      await link.close();
    },
  };
}

/** The servers of several worlds, one after the other. */
export interface StreamServers {
  /** A world whose stream does not exist yet. */
  world(): Promise<StreamWorld>;
  drop(): Promise<void>;
}

/** One real server, or three that make a cluster. */
export async function natsServers(replicas: 1 | 3): Promise<StreamServers> {
  const servers = replicas === 1 ? [await NatsServer.start()] : await NatsServer.startCluster(replicas);
  let worlds = 0;
  return {
    world: () => natsWorld(servers, `sample-${String((worlds += 1))}`),
    async drop() {
      await Promise.all(servers.map((server) => server.drop()));
    },
  };
}

export const simServers = async (replicas: 1 | 3): Promise<StreamServers> => ({
  world: () => simWorld(replicas),
  drop: async () => undefined,
});

/** Clients reach the first server. */
async function natsWorld(servers: readonly NatsServer[], cluster: string): Promise<StreamWorld> {
  const [name, subject] = [streamName('space', cluster), logSubject('space', cluster)];
  const [first] = servers as [NatsServer];
  const replicas = servers.length;
  const proxy = await NatsProxy.start(first.address);
  const admin = new NatsAdmin(first.url, name);
  const closes: (() => Promise<void>)[] = [];
  const each = async (deed: (server: NatsServer) => Promise<void>): Promise<void> => {
    await Promise.all(servers.map(deed));
  };
  return {
    subject,
    open(mayCreate) {
      const opened = openOnNats(proxy.url, { mayCreate, replicas, name, subject });
      closes.push(opened.close);
      return opened.stream;
    },
    openJetStream() {
      const opened = openOnNats(proxy.url, { mayCreate: false, replicas, name, subject });
      closes.push(opened.close);
      return opened.jetstream;
    },
    openSnapshots() {
      const link = connectNats({ url: proxy.url, name: 'test', credentialsDirectory: null, caFile: null, log });
      const subjects = snapshotSubjects('space', cluster);
      const jetstream = createJetStream(link, { name: snapshotStreamName('space', cluster), subjects, replicas });
      const store = createSnapshotStore({ jetstream, subjects, clock: systemClock, sha256, log });
      closes.push(async () => {
        store.close();
        await link.close();
      });
      return store;
    },
    snapshotMessages: () => new NatsAdmin(first.url, snapshotStreamName('space', cluster)).messages(),
    loseNextFrame() {
      proxy.loseNextMessage();
    },
    loseNextAnswer() {
      proxy.loseNextAnswer();
    },
    stop: () => each((server) => server.stop()),
    start: () => each((server) => server.run()),
    async save() {
      await each((server) => server.stop());
      await each((server) => server.saveStore());
      await each((server) => server.run());
    },
    async restore() {
      await each((server) => server.stop('SIGKILL'));
      await each((server) => server.restoreStore());
      await each((server) => server.run());
    },
    purge: (beforeSeq) => admin.purge(beforeSeq),
    remove: () => admin.remove(),
    removeConsumers: () => admin.removeConsumers(),
    async drop() {
      for (const close of closes) await close();
      await proxy.close();
    },
  };
}

/** The simulated server, without any fault but those that a test asks for. */
async function simWorld(replicas: 1 | 3): Promise<StreamWorld> {
  const clock = fastClock(timesFaster);
  const random = seededRandom(1);
  const server = new SimJetStreamServer({ clock, random, replicas });
  const snapshots = new SimJetStreamServer({ clock, random, replicas });
  const both = [server, snapshots];
  const closes: (() => void)[] = [];
  let saved = server.content;
  return {
    subject: sampleSubject,
    openJetStream: () => server.open(),
    open(mayCreate) {
      const jetstream = server.open();
      const stream = createLogStream({ jetstream, stream: sampleStream, subject: sampleSubject, mayCreate, clock, sha256, log });
      closes.push(() => {
        stream.close();
        jetstream.close();
      });
      return stream;
    },
    openSnapshots() {
      const jetstream = snapshots.open();
      const store = createSnapshotStore({ jetstream, subjects: snapshotSubjects('space', 'sample'), clock, sha256, log });
      closes.push(() => {
        store.close();
        jetstream.close();
      });
      return store;
    },
    snapshotMessages: async () => snapshots.content?.messages ?? 0,
    loseNextFrame() {
      both.forEach(({ faults }) => faults.script('send', 'requestLost'));
    },
    loseNextAnswer() {
      both.forEach(({ faults }) => faults.script('send', 'answerLost'));
    },
    async stop() {
      both.forEach((one) => one.stop());
    },
    async start() {
      both.forEach((one) => one.start());
    },
    async save() {
      saved = server.content?.copy() ?? null;
    },
    async restore() {
      server.stop();
      server.restore(saved);
      server.start();
    },
    async purge(beforeSeq) {
      server.purge(beforeSeq);
    },
    async remove() {
      server.remove();
    },
    removeConsumers: async () => server.forgetConsumers(409),
    async drop() {
      for (const close of closes) close();
    },
  };
}

/** What a reader was told, in order. */
export class NotingReader {
  readonly events: StreamEvent[] = [];
  #room: Promise<void> = Promise.resolve();
  readonly onEvent = (event: StreamEvent): void => {
    this.events.push(event);
  };
  readonly room = (): Promise<void> => this.#room;

  /** Has no room for more until the function that it returns is called. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#room = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  }

  get kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  /** Sequences of the frames since the last restart. */
  get seqs(): number[] {
    const from = this.events.findLastIndex(({ kind }) => kind === 'restarted') + 1;
    return this.events.slice(from).flatMap((event) => (event.kind === 'message' ? [event.seq] : []));
  }

  /** Why the stream is out of reach; `''` when it is not. */
  get reason(): string {
    const last = this.events.at(-1);
    return last?.kind === 'disconnected' ? last.reason : '';
  }

  text(seq: number): string {
    const found = this.events.findLast((event) => event.kind === 'message' && event.seq === seq);
    return found?.kind === 'message' ? Buffer.from(found.bytes).toString() : '';
  }

  async until(check: () => void): Promise<void> {
    await eventually(check, withinMs);
  }
}
