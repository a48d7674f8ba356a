// One real sidecar process of the member of a ControlCluster, without a pod: on a port and a data directory of its own that outlive it.
// It can be killed, stopped in its tracks and started again, under another environment if wanted. It dies with this process.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { MemberReport } from '../../common/report.ts';

const stopTimeoutMs = 8000;
const callTimeoutMs = 15_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A child whose output goes to `log`; the kernel ends it when this process ends, however that comes about. */
export function launch(command: readonly string[], log: string, env: Readonly<Record<string, string>> = {}): ChildProcess {
  const out = openSync(log, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
  closeSync(out);
  return child;
}

const isRunning = (child: ChildProcess | null): child is ChildProcess =>
  child !== null && child.exitCode === null && child.signalCode === null;

/** Resolves when it has ended; what does not end in time is killed. */
export async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}

export interface SidecarOptions {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly port: number;
  /** Holds `failover.csv`, and the data and the log of each sidecar. */
  readonly directory: string;
  readonly kubeconfig: string;
  readonly nats: { readonly url: string; readonly replicas: number };
  readonly election: { readonly leaseDurationMs: number; readonly renewDeadlineMs: number; readonly retryPeriodMs: number };
  /** More of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of Node.js before the program. */
  readonly nodeArgs?: readonly string[];
  /** A program with its arguments that ends in becoming the one that is named behind them. */
  readonly wrapper?: readonly string[];
}

export class SidecarProcess {
  readonly pod: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly #options: SidecarOptions;
  #child: ChildProcess | null = null;
  #frozen = false;

  constructor(options: SidecarOptions) {
    this.#options = options;
    this.pod = options.pod;
    this.port = options.port;
    this.dataDirectory = join(options.directory, options.pod);
    this.logFile = join(options.directory, `${options.pod}.log`);
  }

  get isRunning(): boolean {
    return isRunning(this.#child);
  }

  /** It can be asked something. */
  get isAwake(): boolean {
    return this.isRunning && !this.#frozen;
  }

  /** As the process sees them: its file system may be its own. */
  get files(): string {
    return `/proc/${String(this.#child?.pid)}/root${this.dataDirectory}`;
  }

  start(): void {
    if (this.isRunning) throw new Error(`${this.pod} runs already`);
    const { cluster, namespace, pod, podUid, port, directory, kubeconfig, nats, election } = this.#options;
    const { env = {}, nodeArgs = [], wrapper = [] } = this.#options;
    const run = join(this.dataDirectory, 'run');
    mkdirSync(run, { recursive: true });
    this.#frozen = false;
    this.#child = launch([...wrapper, process.execPath, ...nodeArgs, 'sidecar/main.ts'], this.logFile, {
      CC_CLUSTER: cluster,
      CC_NAMESPACE: namespace,
      CC_POD: pod,
      CC_POD_UID: podUid,
      CC_KIND: 'member',
      CC_PORT: String(port),
      CC_NATS_URL: nats.url,
      CC_NATS_REPLICAS: String(nats.replicas),
      CC_LEASE_DURATION_MS: String(election.leaseDurationMs),
      CC_RENEW_DEADLINE_MS: String(election.renewDeadlineMs),
      CC_RETRY_PERIOD_MS: String(election.retryPeriodMs),
      CC_DATA_DIR: this.dataDirectory,
      CC_RUN_DIR: run,
      CC_KUBECONFIG: kubeconfig,
      DELTA_CONFIG: directory,
      ...env,
    });
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#frozen && signal !== 'SIGKILL') this.thaw();
    await end(this.#child, signal);
  }

  /** It keeps its connections and answers nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
    this.#frozen = true;
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
    this.#frozen = false;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  call(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${String(this.port)}${path}`, { ...init, signal: init.signal ?? AbortSignal.timeout(callTimeoutMs) });
  }

  async status(timeoutMs = callTimeoutMs): Promise<MemberReport> {
    const answer = await this.call('/v1/status', { signal: AbortSignal.timeout(timeoutMs) });
    const { report } = (await answer.json()) as { report: MemberReport };
    return report;
  }
}
