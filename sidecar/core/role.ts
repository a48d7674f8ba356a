// What a member is: follower, candidate in one of the stages of its candidacy, or leader with all that waits for an answer.
import type { Epoch } from '../../common/position.ts';
import type { Change, Frame } from './frame.ts';
import type { SubmitResult } from './io.ts';
import type { Overlay } from './store.ts';

export interface Submission {
  readonly id: number;
  readonly change: Change;
  readonly bytes: number;
  readonly deadlineMs: number;
}

/** An answer that waits until frame `index` is acknowledged. */
export interface Waiter {
  readonly id: number;
  readonly index: number;
  readonly deadlineMs: number;
  readonly result: SubmitResult;
}

export type CandidateStage =
  | { readonly kind: 'reading'; readonly sinceMs: number; token: number; endSeq: number | null }
  | { readonly kind: 'promising'; readonly token: number }
  | { readonly kind: 'voting'; readonly sinceMs: number; sentAtMs: number; readonly votes: Map<string, string> }
  | { readonly kind: 'claiming'; readonly sinceMs: number; readonly token: number; readonly frame: Frame }
  /** `count` frames from `index` on are being published; 0 while they are loaded. */
  | { readonly kind: 'filling'; readonly sinceMs: number; readonly token: number; readonly index: number; readonly count: number }
  | { readonly kind: 'confirming'; readonly sinceMs: number };

export interface Candidate {
  readonly kind: 'candidate';
  epoch: Epoch;
  stage: CandidateStage;
  voteRounds: number;
  claimIndex: number;
  heartbeatAtMs: number;
}

export interface Leader {
  readonly kind: 'leader';
  readonly epoch: Epoch;
  readonly claimIndex: number;
  heartbeatAtMs: number;
  /** Last time at which a majority had answered a heartbeat. */
  quorumAtMs: number;
  /** Number of the newest heartbeat round that somebody waits for, and the newest that a majority has answered. */
  round: number;
  confirmedRound: number;
  queue: Submission[];
  queueBytes: number;
  publishing: { readonly token: number; readonly frame: Frame } | null;
  waiters: Waiter[];
  readonly overlay: Overlay;
  /** The one that is to lead by the will of a person, when it has answered this heartbeat round: meanwhile no change is taken. */
  switchOver: { readonly to: string; readonly sinceMs: number; readonly round: number } | null;
  reads: { readonly id: number; round: number | null; readonly deadlineMs: number }[];
}

export type Role = { readonly kind: 'follower' } | Candidate | Leader;
