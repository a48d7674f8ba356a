// Every bound of the Process API that is not a limit of a change (those are in core/frame.ts), with its unit.
// Tests give smaller ones; nothing else does.

export const defaultBounds = Object.freeze({
  /** A JSON body, or one line of NDJSON. */
  bodyBytes: 1024 * 1024,
  /** Arrays and objects inside each other in a body. Deeper ones would exhaust the stack of what reads them. */
  nestingDepth: 64,
  /** Request line and headers. A key of 1 KiB takes 3 KiB when it is percent-encoded. */
  headerBytes: 16 * 1024,
  /** Sockets; beyond it new ones are closed at once. */
  connections: 1024,
  headersTimeoutMs: 10_000,
  /** From the headers to the end of a JSON body. */
  bodyTimeoutMs: 30_000,
  /** A socket on which nothing moves. Event streams move by their heartbeats. */
  idleTimeoutMs: 120_000,
  keepAliveTimeoutMs: 75_000,
  /** Requests under way are given this long when the server closes. */
  closeTimeoutMs: 5000,
  retryAfterSeconds: 1,

  listLimit: 100,
  listMaxLimit: 1000,
  /** A listing ends early, with `next`, once it has this many bytes. */
  listBytes: 4 * 1024 * 1024,
  changesLimit: 1000,
  changesMaxLimit: 100_000,
  /** Changes asked of the process at a time, by a listing of the log and by a watcher. */
  changesPage: 64,

  /** Changes of one NDJSON connection that are submitted and not yet answered. */
  bulkWindow: 1024,
  /** Bytes of them; one change is always let through. */
  bulkWindowBytes: 8 * 1024 * 1024,

  /** Event streams open at a time, `/v1/watch` and `/v1/events` together. */
  watchers: 256,
  /** What waits in memory for one slow watcher; one event more may. */
  watcherBytes: 256 * 1024,
  /** A watcher that has not taken what waits for it within this time is closed. */
  slowWatcherMs: 10_000,
  /** Between comments, or `progress` events when a filter left changes out. */
  heartbeatMs: 10_000,
  /** A stream or NDJSON exchange ends after this, so that access that was taken away ends too; the client resumes. */
  streamLifetimeMs: 30 * 60_000,
});

export type Bounds = Readonly<Record<keyof typeof defaultBounds, number>>;
