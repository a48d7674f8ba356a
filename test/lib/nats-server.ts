// A real nats-server with JetStream for a test: on a loopback address of its own, its store in a directory of its own, every message synced as
// in the chart. It can be killed, stopped in its tracks, started again on what it stored, and several make a cluster. They die with this process.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from '../cluster/build.ts';
import { eventually } from './eventually.ts';

const readyTimeoutMs = 15_000;
const clientPort = 4222;
const routePort = 6222;

export interface NatsServerOptions {
  /** Bytes; the default of NATS is 1 MiB. */
  readonly maxPayloadBytes?: number;
  readonly user?: { readonly name: string; readonly password: string };
}

interface Place {
  readonly name: string;
  readonly address: string;
  /** Addresses of the cluster; empty for a server of its own. */
  readonly routes: readonly string[];
}

// Any address of 127.0.0.0/8 is this machine's: a random one spares the search for free ports, and a restarted server finds its own again.
const randomAddress = (): string => `127.${String(randomInt(1, 255))}.${String(randomInt(0, 255))}.${String(randomInt(2, 255))}`;

export class NatsServer {
  readonly address: string;
  readonly #name: string;
  readonly #directory: string;
  readonly #program: string;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();

  private constructor(place: Place, directory: string, program: string) {
    this.address = place.address;
    this.#name = place.name;
    this.#directory = directory;
    this.#program = program;
  }

  get name(): string {
    return this.#name;
  }

  get url(): string {
    return `nats://${this.address}:${String(clientPort)}`;
  }

  /** Prepared, not started. */
  static async create(
    options: NatsServerOptions = {},
    place: Place = { name: 'one', address: randomAddress(), routes: [] },
  ): Promise<NatsServer> {
    const directory = await mkdtemp(join(tmpdir(), 'nats-'));
    const server = new NatsServer(place, directory, await binary('nats-server'));
    const config = {
      server_name: place.name,
      host: place.address,
      port: clientPort,
      max_payload: options.maxPayloadBytes ?? 1024 * 1024,
      ...(options.user !== undefined && { authorization: { user: options.user.name, password: options.user.password } }),
      jetstream: { store_dir: join(directory, 'store'), sync_interval: 'always' },
      ...(place.routes.length > 0 && {
        cluster: {
          name: 'test',
          // Clients stay with the addresses that they were given, which may be those of gates.
          no_advertise: true,
          host: place.address,
          port: routePort,
          routes: place.routes.map((address) => `nats://${address}:${String(routePort)}`),
        },
      }),
    };
    await writeFile(join(directory, 'nats.conf'), JSON.stringify(config));
    return server;
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = await NatsServer.create(options);
    await server.run();
    return server;
  }

  /** Servers that make one cluster, all running. */
  static async startCluster(count: number): Promise<NatsServer[]> {
    const addresses = Array.from({ length: count }, randomAddress);
    const servers = await Promise.all(
      addresses.map((address, at) => NatsServer.create({}, { name: `node-${String(at)}`, address, routes: addresses })),
    );
    await Promise.all(servers.map((server) => server.run()));
    return servers;
  }

  /** Starts it (again) and waits until it takes connections. */
  async run(): Promise<void> {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', this.#program, '-c', join(this.#directory, 'nats.conf'), '-l', this.logFile], {
      stdio: 'ignore',
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => {
        resolve();
      });
    });
    await eventually(() => this.#answers(), readyTimeoutMs);
  }

  /** A clean stop, or with SIGKILL a crash; resolves when the process has ended. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#child?.kill(signal);
    await this.#exited;
    this.#child = null;
  }

  /** It holds its connections and answers nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Keeps a copy of the store as it is; the server must be stopped. */
  async saveStore(): Promise<void> {
    await cp(join(this.#directory, 'store'), join(this.#directory, 'saved'), { recursive: true });
  }

  /** Puts the saved copy back; the server must be stopped. */
  async restoreStore(): Promise<void> {
    await rm(join(this.#directory, 'store'), { recursive: true });
    await cp(join(this.#directory, 'saved'), join(this.#directory, 'store'), { recursive: true });
  }

  /** Its disk is lost; the server must be stopped. */
  async loseStore(): Promise<void> {
    await rm(join(this.#directory, 'store'), { recursive: true, force: true });
  }

  get logFile(): string {
    return join(this.#directory, 'nats.log');
  }

  async drop(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(clientPort, this.address);
      socket.once('data', () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  }
}
