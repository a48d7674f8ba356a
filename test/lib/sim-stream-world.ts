// Production stream logic over a simulated JetStream, in virtual time: what a test needs to tell a story of one stream.
import { expect } from '@jest/globals';
import { pino } from 'pino';
import type { Frame } from '../../sidecar/core/frame.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { LogStream } from '../../sidecar/ports.ts';
import type { JetStream } from '../../sidecar/stream/jetstream-port.ts';
import { createLogStream } from '../../sidecar/stream/log-stream.ts';
import { SimJetStreamServer, type SimServerOptions } from './sim-jetstream.ts';
import { NotingReader, sampleStream, sampleSubject } from './stream-world.ts';
import { seededRandom, VirtualClock } from './virtual-clock.ts';

const never = new AbortController().signal;
const log = pino({ level: 'silent' });

export class SimStreamWorld {
  readonly clock = new VirtualClock();
  readonly server: SimJetStreamServer;

  constructor(options: Partial<SimServerOptions> & { readonly seed?: number } = {}) {
    this.server = new SimJetStreamServer({ clock: this.clock, random: seededRandom(options.seed ?? 1), ...options });
    this.server.create();
  }

  open(jetstream: JetStream = this.server.open()): LogStream {
    return createLogStream({ jetstream, stream: sampleStream, subject: sampleSubject, mayCreate: true, clock: this.clock, sha256, log });
  }

  read(stream: LogStream): NotingReader {
    const reader = new NotingReader();
    stream.read(reader.onEvent, reader.room);
    return reader;
  }

  async publish(stream: LogStream, frames: readonly Frame[], afterSeq = 0): Promise<void> {
    for (const [at, frame] of frames.entries())
      expect(await this.clock.get(stream.publish(frame, afterSeq + at, never))).toEqual({ kind: 'stored', seq: afterSeq + at + 1 });
  }

  textAt(seq: number): string {
    return Buffer.from(this.server.content?.message(seq)?.bytes ?? []).toString();
  }
}

export const textOf = (frame: Frame | undefined): string => Buffer.from(frame?.bytes ?? []).toString();
