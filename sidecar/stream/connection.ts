// The one connection to NATS that the log stream and the peers share.
// Connects in the background for as long as it takes and says why it is not connected; credentials are read anew for each attempt, so that a
// rotated Secret is honoured. The library's own reconnecting is off: it buffers what is published meanwhile without a bound and hides why it
// fails. A lost connection is replaced by a new one here, and whoever subscribes does so again when told of it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, credsAuthenticator, NatsError, type Authenticator, type ConnectionOptions, type Msg, type NatsConnection } from 'nats';
import type { Logger } from 'pino';
import { neededPayloadBytes } from './payload.ts';

const connectTimeoutMs = 4000;
const reconnectDelayMs = 250;
/** A connection whose server is silent is given up after `pingIntervalMs * (maxPingsOut + 1)`. */
const pingIntervalMs = 1500;
const maxPingsOut = 1;

export type LinkState =
  | { readonly kind: 'connected'; readonly connection: NatsConnection }
  /** `reason` is one sentence for people, without a secret. */
  | { readonly kind: 'disconnected'; readonly reason: string };

export interface NatsLink {
  readonly state: LinkState;
  /** Tells the state now and after each change. Each `connected` is a new connection, without any subscription. Returns the unsubscribe function. */
  onState(listener: (state: LinkState) => void): () => void;
  close(): Promise<void>;
}

export interface NatsLinkOptions {
  /** One URL or several, separated by commas. */
  readonly url: string;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** A mounted Secret: `nats.creds`, or `token`, or `username` and `password`. */
  readonly credentialsDirectory: string | null;
  readonly caFile: string | null;
  readonly log: Logger;
}

/** What went wrong, by code only: messages of servers and sockets may quote what should not be shown. */
export function natsReason(error: unknown): string {
  if (error instanceof NatsError)
    return error.api_error === undefined
      ? error.code
      : `JetStream error ${String(error.api_error.err_code)}: ${error.api_error.description}`;
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return 'unknown';
}

/** Subscribes with a handler that may throw: an exception ends the process instead of stopping the library's parser in silence. */
export function subscribe(connection: NatsConnection, subject: string, handler: (message: Msg) => void): { unsubscribe: () => void } {
  return connection.subscribe(subject, {
    callback: (error, message) => {
      // The only error is a lack of permission: the subscription is over, and the watchdog or the timeout of its owner tells.
      if (error !== null) return;
      try {
        handler(message);
      } catch (failure) {
        process.nextTick(() => {
          throw failure;
        });
      }
    },
  });
}

function authenticator(directory: string | null): Authenticator[] {
  if (directory === null) return [];
  const read = (file: string): string | undefined => {
    const path = join(directory, file);
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
  };
  const creds = read('nats.creds');
  if (creds !== undefined) return [credsAuthenticator(new TextEncoder().encode(creds))];
  const token = read('token');
  if (token !== undefined) return [() => ({ auth_token: token })];
  return [() => ({ user: read('username') ?? '', pass: read('password') ?? '' })];
}

function connectionOptions({ url, name, credentialsDirectory, caFile }: NatsLinkOptions): ConnectionOptions {
  const authenticators = authenticator(credentialsDirectory);
  return {
    servers: url.split(',').map((one) => one.trim()),
    name,
    ...(authenticators.length > 0 && { authenticator: authenticators }),
    ...(caFile !== null && { tls: { caFile } }),
    timeout: connectTimeoutMs,
    reconnect: false,
    pingInterval: pingIntervalMs,
    maxPingOut: maxPingsOut,
    // A pod's broadcasts come back to no one but the others. What JetStream delivers is sent by the server and not concerned.
    noEcho: true,
    noAsyncTraces: true,
  };
}

/** Returns at once; never throws for an absent, slow or refusing server. */
export function connectNats(options: NatsLinkOptions): NatsLink {
  const { log } = options;
  const closing = new AbortController();
  const listeners = new Set<(state: LinkState) => void>();
  let state: LinkState = { kind: 'disconnected', reason: 'NATS has not been reached yet' };

  const become = (next: LinkState): void => {
    if (state.kind === 'disconnected' && next.kind === 'disconnected' && state.reason === next.reason) return;
    state = next;
    if (next.kind === 'connected') log.info({ server: next.connection.getServer() }, 'NATS connected');
    else log.warn({ reason: next.reason }, 'NATS disconnected');
    for (const listener of listeners) listener(next);
  };

  const connectOnce = async (): Promise<void> => {
    const connection = await connect(connectionOptions(options));
    const maxPayload = connection.info?.max_payload ?? 0;
    if (closing.signal.aborted) {
      await connection.close();
      return;
    }
    if (maxPayload < neededPayloadBytes) {
      await connection.close();
      become({
        kind: 'disconnected',
        reason: `max_payload of the NATS servers is ${String(maxPayload)} bytes, ${String(neededPayloadBytes)} are needed`,
      });
      return;
    }
    become({ kind: 'connected', connection });
    const error = await connection.closed();
    become({
      kind: 'disconnected',
      reason: error === undefined ? 'the NATS server closed the connection' : `the connection to NATS was lost (${natsReason(error)})`,
    });
  };

  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await connectOnce().catch((error: unknown) => {
        become({ kind: 'disconnected', reason: `NATS is not reachable (${natsReason(error)})` });
      });
      await delay(reconnectDelayMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const running = run();

  return {
    get state() {
      return state;
    },
    onState(listener) {
      listeners.add(listener);
      listener(state);
      return () => listeners.delete(listener);
    },
    async close() {
      closing.abort();
      listeners.clear();
      if (state.kind === 'connected') await state.connection.close();
      await running;
    },
  };
}
