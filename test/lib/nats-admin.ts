// What a person does to a stream with an administrator's tool: one connection for each deed, with the library's own calls.
import { connect, type JetStreamManager } from 'nats';

export class NatsAdmin {
  readonly #url: string;
  readonly #stream: string;

  constructor(url: string, stream: string) {
    this.#url = url;
    this.#stream = stream;
  }

  async with<T>(deed: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    const connection = await connect({ servers: this.#url.split(',') });
    try {
      return await deed(await connection.jetstreamManager());
    } finally {
      await connection.close();
    }
  }

  /** Removes the messages before this sequence. */
  async purge(beforeSeq: number): Promise<void> {
    await this.with((manager) => manager.streams.purge(this.#stream, { seq: beforeSeq }));
  }

  async remove(): Promise<void> {
    await this.with((manager) => manager.streams.delete(this.#stream));
  }

  /** How many messages it holds. */
  async messages(): Promise<number> {
    return this.with(async (manager) => (await manager.streams.info(this.#stream)).state.messages);
  }

  /** Sequence of the first message that it holds. */
  async firstSeq(): Promise<number> {
    return this.with(async (manager) => (await manager.streams.info(this.#stream)).state.first_seq);
  }

  /** Name of the server that leads the stream; it has one when the stream is replicated. */
  async leader(): Promise<string | undefined> {
    return this.with(async (manager) => (await manager.streams.info(this.#stream)).cluster?.leader);
  }

  /** Removes the consumers below those who read. */
  async removeConsumers(): Promise<number> {
    return this.with(async (manager) => {
      const consumers = await manager.consumers.list(this.#stream).next();
      for (const { name } of consumers) await manager.consumers.delete(this.#stream, name);
      return consumers.length;
    });
  }
}
