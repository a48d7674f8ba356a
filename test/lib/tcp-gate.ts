// Stands between clients and a server. While it is shut, connections are broken and none is made; while it holds, they stand and nothing
// arrives, as when a network drops packets: what was sent meanwhile arrives late.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpGate {
  readonly #server: Server;
  /** Each with the one that it feeds. */
  readonly #sockets = new Map<Socket, Socket>();
  #state: 'open' | 'shut' | 'holding' = 'open';

  private constructor(host: string, port: number) {
    this.#server = createServer((client) => {
      if (this.#state === 'shut') client.destroy();
      else this.#join(client, connect(port, host));
    });
  }

  static async start(host: string, port: number): Promise<TcpGate> {
    const gate = new TcpGate(host, port);
    await new Promise<void>((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  shut(): void {
    this.#state = 'shut';
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  hold(): void {
    if (this.#state !== 'open') throw new Error('only what is open can hold');
    this.#state = 'holding';
    for (const [from, to] of this.#sockets) from.unpipe(to);
  }

  open(): void {
    if (this.#state === 'holding') for (const [from, to] of this.#sockets) from.pipe(to);
    this.#state = 'open';
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.set(from, to);
      if (this.#state === 'open') from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
