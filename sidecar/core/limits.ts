// Every wait, retry and queue of the core, by name and with its unit (I10). Limits on keys, values and frames are in `frame.ts`.
export const coreLimits = Object.freeze({
  heartbeatMs: 300,
  /** A leader that was heard within this time is taken to be alive. */
  leaderSilenceMs: 1000,
  /** A peer's report counts for ranking for this long. */
  peerFreshMs: 2000,
  reportMs: 500,
  rankDelayMs: 300,
  /** The others leave the designated leader of a round this much time. */
  designatedHeadStartMs: 1500,
  candidacyPauseMs: 1000,
  voteTimeoutMs: 1500,
  voteResendMs: 300,
  maxVoteRounds: 3,
  readingTimeoutMs: 10_000,
  /** For one frame of a candidate: a stream of three servers takes 4 to 9 s to get a new leader. */
  publishTimeoutMs: 10_000,
  confirmTimeoutMs: 5000,
  fetchRetryMs: 1000,
  fetchWindowFrames: 64,
  locateRetryMs: 1000,
  stalledReaderMs: 2000,
  /** Bytes of frames after which the next checkpoint is made. */
  checkpointBytes: 64 * 1024 * 1024,
  /** Between attempts to make a checkpoint. */
  checkpointRetryMs: 10_000,
  /** Between two looks of a leader at what NATS keeps: so often, at most, a snapshot is stored there. */
  upkeepMs: 120_000,
  /** Frames that the stream keeps below what all who read it have. */
  retainedFrames: 10_000,
  /** Readers of the stream beside the members whose place a leader remembers. */
  knownReplicas: 16,
  /** A reader gets so long to find out that the message at its place is gone. */
  lookAgainMs: 1000,
  submitTimeoutMs: 10_000,
  handOverTimeoutMs: 3000,
  queuedChanges: 4096,
  queuedBytes: 32 * 1024 * 1024,
  /** Published, or judged, and not yet answered. */
  unconfirmedChanges: 65_536,
  pendingReads: 4096,
  /** A follower that lacks an acknowledged change for longer than this is said to catch up. */
  behindToleranceMs: 5000,
  /** A voter may lack no more frames than these of the log that it votes for: so many are held whole, whatever their size (`orphanBytes`). */
  voterLagFrames: 64,
  /** Each peer is asked this often for frames that nobody sends, before they are no longer waited for. */
  fetchRounds: 2,
  /** When NATS has no snapshot that helps, it is not asked again for so long. */
  natsSnapshotRetryMs: 10_000,
  orphanFrames: 4096,
  orphanBytes: 64 * 1024 * 1024,
});
