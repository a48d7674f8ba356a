// Stands between a client and a NATS server, to lose exactly one thing: a message on its way there, or the acknowledgement on its way back.
// The connection is broken with it, as when a network fails.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

type Loss = 'nothing' | 'message' | 'answer';

export class NatsProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #loss: Loss = 'nothing';
  #delayMs = 0;
  /** How many times something was lost. */
  losses = 0;

  private constructor(target: string, targetPort: number) {
    this.#server = createServer((client) => {
      this.#join(client, connect(targetPort, target));
    });
  }

  static async start(target: string, targetPort = 4222): Promise<NatsProxy> {
    const proxy = new NatsProxy(target, targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `nats://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** The next message that the client publishes does not arrive. */
  loseNextMessage(): void {
    this.#loss = 'message';
  }

  /** The next acknowledgement of a published message does not arrive; the message does. */
  loseNextAnswer(): void {
    this.#loss = 'answer';
  }

  /** All that the server says from now on arrives so much later. */
  delayAnswers(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    const sever = (): void => {
      client.destroy();
      server.destroy();
    };
    const lose = (): void => {
      this.#loss = 'nothing';
      this.losses += 1;
      sever();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', sever);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        sever();
      });
    }
    client.on('data', (chunk) => {
      if (this.#loss === 'message' && chunk.includes('HPUB ')) lose();
      else server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (this.#loss === 'answer' && chunk.includes('"seq":')) lose();
      else if (this.#delayMs === 0) client.write(chunk);
      else setTimeout(() => client.write(chunk), this.#delayMs);
    });
  }
}
