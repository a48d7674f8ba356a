// A log stream with the world around it, real or in memory, and what a test can do to that world; and a reader that notes what it is told.
import { pino } from 'pino';
import { logSubject, streamName } from '../../common/names.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream, StreamEvent } from '../../sidecar/ports.ts';
import { connectNats, type NatsLink } from '../../sidecar/stream/connection.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { eventually } from './eventually.ts';
import { MemoryStream, MemoryStreamServer } from './memory-stream.ts';
import { NatsAdmin } from './nats-admin.ts';
import { NatsProxy } from './nats-proxy.ts';
import { NatsServer } from './nats-server.ts';

export const sampleStream = streamName('space', 'sample');
const subject = logSubject('space', 'sample');
export const withinMs = 15_000;
const log = pino({ level: 'silent' });

export interface StreamWorld {
  open(mayCreate: boolean): LogStream;
  loseNextFrame(): void;
  loseNextAnswer(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Keeps what is stored, and puts it back later: all that came between is lost. */
  save(): Promise<void>;
  restore(): Promise<void>;
  purge(beforeSeq: number): Promise<void>;
  remove(): Promise<void>;
  drop(): Promise<void>;
}

/** A client of its own, with its own connection. */
export function openOnNats(
  url: string,
  { mayCreate = true, replicas = 1 } = {},
): { stream: LogStream; link: NatsLink; close: () => Promise<void> } {
  const link = connectNats({ url, name: 'test', credentialsDirectory: null, caFile: null, log });
  const stream = createLogStream({ link, stream: sampleStream, subject, replicas, mayCreate, sha256, log });
  return {
    stream,
    link,
    async close() {
      stream.close();
      await link.close();
    },
  };
}

export async function natsWorld(): Promise<StreamWorld> {
  const server = await NatsServer.start();
  const proxy = await NatsProxy.start(server.address);
  const admin = new NatsAdmin(server.url, sampleStream);
  const closes: (() => Promise<void>)[] = [];
  return {
    open(mayCreate) {
      const opened = openOnNats(proxy.url, { mayCreate });
      closes.push(opened.close);
      return opened.stream;
    },
    loseNextFrame() {
      proxy.loseNextMessage();
    },
    loseNextAnswer() {
      proxy.loseNextAnswer();
    },
    stop: () => server.stop(),
    start: () => server.run(),
    async save() {
      await server.stop();
      await server.saveStore();
      await server.run();
    },
    async restore() {
      await server.stop('SIGKILL');
      await server.restoreStore();
      await server.run();
    },
    purge: (beforeSeq) => admin.purge(beforeSeq),
    remove: () => admin.remove(),
    async drop() {
      for (const close of closes) await close();
      await proxy.close();
      await server.drop();
    },
  };
}

export async function memoryWorld(): Promise<StreamWorld> {
  const server = new MemoryStreamServer();
  let saved = server.content;
  return {
    open: (mayCreate) => new MemoryStream(server, mayCreate),
    loseNextFrame() {
      server.loseNextFrame();
    },
    loseNextAnswer() {
      server.loseNextAnswer();
    },
    async stop() {
      server.setAvailable(false);
    },
    async start() {
      server.setAvailable(true);
    },
    async save() {
      saved = server.content;
    },
    async restore() {
      server.restore(saved);
    },
    async purge(beforeSeq) {
      server.purge(beforeSeq);
    },
    async remove() {
      server.remove();
    },
    drop: async () => undefined,
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
    return this.events.slice(from).flatMap((event) => (event.kind === 'frame' ? [event.seq] : []));
  }

  /** Why the stream is out of reach; `''` when it is not. */
  get reason(): string {
    const last = this.events.at(-1);
    return last?.kind === 'disconnected' ? last.reason : '';
  }

  text(seq: number): string {
    const found = this.events.findLast((event) => event.kind === 'frame' && event.seq === seq);
    return found?.kind === 'frame' ? Buffer.from(found.bytes).toString() : '';
  }

  async until(check: () => void): Promise<void> {
    await eventually(check, withinMs);
  }
}
