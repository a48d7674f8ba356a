// observe → plan → apply: from what was observed to what is to be done about it, in order. Pure and without memory.
// What is done may fail or come too late at any point: the next observation sees what is there and plans anew.
import type { ControlClusterStatus } from '../../common/status.ts';
import type { EventRecord } from './event-record.ts';
import { eventsOf } from './events.ts';
import { judge, type Judgement } from './judgement.ts';
import { objectKey, type Observed } from './observed.ts';
import { nextAskMs, questionsAbout, type Question } from './questions.ts';
import { minorStatusIntervalMs, outlineOf, sameStatus, statusOf } from './status.ts';
import { switchoverDueMs } from './switch-over.ts';
import { refusalOf, type Write } from './writes.ts';

export type Action =
  | Write
  | { readonly kind: 'writeStatus'; readonly status: ControlClusterStatus }
  | { readonly kind: 'recordEvent'; readonly event: EventRecord }
  | { readonly kind: 'askWhy'; readonly questions: readonly Question[] }
  | { readonly kind: 'planAgain'; readonly afterMs: number };

export function plan(observed: Observed): Action[] {
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return [];
  const judgement = judge(observed);
  const writes = judgement.writes.map((write) => whenDue(write, observed));
  return [...writes, ...planStatus(observed, judgement), ...planQuestions(observed, judgement), ...planLater(observed, judgement)];
}

/** The same object is applied no more often than this, whoever else keeps changing it. */
const applyIntervalMs = 1_000;

function whenDue(write: Write, { refusals, appliedAgoMs }: Observed): Action {
  const refusedMs = refusalOf(write, refusals)?.retryInMs ?? 0;
  const appliedAgo = write.kind === 'applyObject' ? appliedAgoMs.get(objectKey(write.object)) : undefined;
  const waitMs = Math.max(refusedMs, applyIntervalMs - (appliedAgo ?? applyIntervalMs));
  return waitMs > 0 ? { kind: 'planAgain', afterMs: waitMs } : write;
}

function planStatus(observed: Observed, judgement: Judgement): Action[] {
  const before = observed.cluster.status ?? {};
  const status = statusOf(observed, judgement);
  if (sameStatus(before, status)) return [];
  const waitMs = minorStatusIntervalMs - observed.statusAgeMs;
  if (outlineOf(before) === outlineOf(status) && waitMs > 0) return [{ kind: 'planAgain', afterMs: waitMs }];
  const events = eventsOf(observed, judgement, status).map((event): Action => ({ kind: 'recordEvent', event }));
  return [{ kind: 'writeStatus', status }, ...events];
}

function planQuestions(observed: Observed, { members }: Judgement): Action[] {
  const questions = questionsAbout(members);
  // Nothing left to ask: what was answered is forgotten.
  if (questions.length === 0) return observed.answers.size === 0 ? [] : [{ kind: 'askWhy', questions }];
  const waitMs = nextAskMs(observed);
  return [waitMs > 0 ? { kind: 'planAgain', afterMs: waitMs } : { kind: 'askWhy', questions }];
}

function planLater(observed: Observed, { start }: Judgement): Action[] {
  const dueMs = [start.kind === 'gathering' ? start.decideAgainMs : null, switchoverDueMs(observed)];
  return dueMs.flatMap((afterMs): Action[] => (afterMs === null ? [] : [{ kind: 'planAgain', afterMs }]));
}
