// The one catalogue of operating failures: what each code means, what the user can do, and how HTTP answers it.
// A broken invariant is not in it: that asserts, logs and ends the process.

interface CatalogueEntry {
  readonly status: number;
  readonly title: string;
  readonly remedy: string;
  /** A caller may send the same request again (with the same idempotency key when it writes). */
  readonly retryable: boolean;
}

export const errorCatalogue = {
  invalid_request: {
    status: 400,
    title: 'The request is not of the documented form.',
    remedy: 'Correct what the detail names.',
    retryable: false,
  },
  key_too_long: { status: 400, title: 'The key or topic is longer than the limit.', remedy: 'Use one of at most 1 KiB.', retryable: false },
  value_too_large: {
    status: 413,
    title: 'The value is larger than the limit.',
    remedy: 'Use a value of at most 512 KiB, or split it.',
    retryable: false,
  },
  change_too_large: {
    status: 413,
    title: 'The change is larger than the limit.',
    remedy: 'Use a change of at most 768 KiB, or split it.',
    retryable: false,
  },
  body_too_large: {
    status: 413,
    title: 'The body is larger than the limit.',
    remedy: 'Send at most 1 MiB in one request.',
    retryable: false,
  },
  unauthorized: {
    status: 401,
    title: 'The caller is not known.',
    remedy: 'Send a Kubernetes bearer token, or call from inside the pod.',
    retryable: false,
  },
  forbidden: {
    status: 403,
    title: 'The caller may not do this.',
    remedy: 'Ask for the verb on controlclusters/state in this namespace.',
    retryable: false,
  },
  always_follower: {
    status: 403,
    title: 'This is a disaster-recovery replica; it takes no writes.',
    remedy: 'Write through the Service of the cluster.',
    retryable: false,
  },
  not_found: { status: 404, title: 'There is no such thing.', remedy: 'Check the path or the key.', retryable: false },
  method_not_allowed: {
    status: 405,
    title: 'The path does not take this method.',
    remedy: 'Use a method of the Allow header.',
    retryable: false,
  },
  request_timeout: { status: 408, title: 'The request did not arrive in time.', remedy: 'Send it again, without pauses.', retryable: true },
  conflict: { status: 409, title: 'A precondition does not hold.', remedy: 'Read the value again and decide anew.', retryable: false },
  precondition_failed: {
    status: 412,
    title: 'If-Match or If-None-Match does not hold.',
    remedy: 'Read the value again and decide anew.',
    retryable: false,
  },
  compacted: {
    status: 410,
    title: 'The log no longer reaches back that far.',
    remedy: 'List the state, then watch from its UID.',
    retryable: false,
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not of a type that this path takes.',
    remedy: 'Set Content-Type as the detail says; send the body uncompressed.',
    retryable: false,
  },
  headers_too_large: {
    status: 431,
    title: 'The request line and headers are larger than the limit.',
    remedy: 'Send at most 16 KiB of them.',
    retryable: false,
  },
  queue_full: {
    status: 503,
    title: 'More changes are queued than the leader takes.',
    remedy: 'Try again after the seconds in Retry-After.',
    retryable: true,
  },
  no_leader: {
    status: 503,
    title: 'The cluster has no leader at the moment.',
    remedy: 'Try again; kubectl describe controlcluster says what it waits for.',
    retryable: true,
  },
  not_in_sync: { status: 503, title: 'This member has not caught up.', remedy: 'Try again, or ask the leader.', retryable: true },
  outcome_unknown: {
    status: 503,
    title: 'The change may or may not become part of the log.',
    remedy: 'Send it again with the same idempotency key.',
    retryable: true,
  },
  stopping: {
    status: 503,
    title: 'This member is stopping, or hands leadership over.',
    remedy: 'Try again; another member takes over.',
    retryable: true,
  },
  too_many_watchers: {
    status: 503,
    title: 'This member serves as many watchers as it may.',
    remedy: 'Watch another member.',
    retryable: true,
  },
  api_unavailable: { status: 503, title: 'The Kubernetes API did not answer.', remedy: 'Try again.', retryable: true },
  stream_unavailable: {
    status: 503,
    title: 'NATS JetStream did not answer.',
    remedy: 'Try again; check the NATS servers of spec.replication.nats.url.',
    retryable: true,
  },
  journal_corrupt: {
    status: 500,
    title: 'The journal on disk does not verify.',
    remedy: 'The member does not serve what it cannot verify. Its log names the file; give it an empty volume, and it follows anew.',
    retryable: false,
  },
  journal_version: {
    status: 500,
    title: 'The journal was written by an unknown format version.',
    remedy: 'Run the version that wrote it, or a later one.',
    retryable: false,
  },
  archive_corrupt: {
    status: 500,
    title: 'The archive on disk does not match its checksum.',
    remedy: 'Nothing of it was submitted. See what can be saved of the file, in archive/ on the volume of this pod.',
    retryable: false,
  },
  disk_full: {
    status: 507,
    title: 'The disk of the journal is full.',
    remedy: 'Make room or enlarge the volume; reads go on.',
    retryable: true,
  },
  internal_error: {
    status: 500,
    title: 'The sidecar failed in a way it should not.',
    remedy: 'Report it, with the log of the sidecar.',
    retryable: false,
  },
  invalid_configuration: {
    status: 500,
    title: 'The configuration is not valid.',
    remedy: 'Correct what the detail names.',
    retryable: false,
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

/** An operating failure. `detail` is one sentence for the user and never holds a secret. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, cause?: unknown) {
    super(`${code}: ${detail}`, { cause });
    this.name = 'AppError';
    this.code = code;
    this.detail = detail;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }
}

export const isAppError = (error: unknown): error is AppError => error instanceof AppError;
