// observe → plan → apply: from what was observed to what is to be done about it, in order. Pure and without memory.
// What is done may fail or come too late at any point: the next observation sees what is there and plans anew.
import type { ControlClusterStatus } from '../../common/status.ts';
import type { StartRound } from '../../common/report.ts';
import { differences, digestOf, isOurs } from './drift.ts';
import { eventsOf, type EventRecord } from './events.ts';
import type { Witness } from './leadership.ts';
import { judge, type Judgement } from './judgement.ts';
import { objectKey, ownerOf, type KubeObject, type LiveObject, type Observed, type ObservedLease } from './observed.ts';
import { minorStatusIntervalMs, outlineOf, sameStatus, statusOf } from './status.ts';

export type Action =
  /** Frees the leader Lease on condition that it is still the one that was observed. */
  | { readonly kind: 'clearLease'; readonly lease: ObservedLease; readonly witness: Witness }
  /** `absent`: it was not seen; make sure that nobody else's object has its name. */
  | { readonly kind: 'applyObject'; readonly object: KubeObject; readonly absent: boolean }
  | { readonly kind: 'deleteObject'; readonly object: KubeObject }
  | { readonly kind: 'deletePod'; readonly pod: string; readonly podUid: string; readonly message: string }
  /** Writes the round and frees the Lease in one step, on condition that the Lease is still the one that was observed. */
  | { readonly kind: 'openRound'; readonly lease: ObservedLease; readonly round: StartRound }
  | { readonly kind: 'writeStatus'; readonly status: ControlClusterStatus }
  | { readonly kind: 'recordEvent'; readonly event: EventRecord }
  | { readonly kind: 'planAgain'; readonly afterMs: number };

export function plan(observed: Observed): Action[] {
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return [];
  const judgement = judge(observed);
  const active = judgement.paused ? [] : [...planLease(observed, judgement), ...planObjects(observed), ...planRollout(judgement)];
  return [...active, ...planStatus(observed, judgement), ...planLater(judgement)];
}

function planLease({ cluster, leaderLease }: Observed, { leadership, start }: Judgement): Action[] {
  if (leaderLease === null) return [];
  // The identity of the log is in the status before a round names it: should the operator end in between, the next one finds it there.
  if (start.kind === 'open' && cluster.status?.clusterId === start.round.clusterId) {
    const { round } = start;
    const event: EventRecord = {
      type: 'Normal',
      reason: 'StartRoundOpened',
      message: `Start round ${String(round.number)}: ${round.designated} is to lead; counted are ${round.counted.map(({ pod }) => pod).join(', ')}.`,
    };
    return [
      { kind: 'openRound', lease: leaderLease, round },
      { kind: 'recordEvent', event },
    ];
  }
  if (leadership.kind !== 'gone') return [];
  const event: EventRecord = { type: 'Normal', reason: 'LeaderLeaseCleared', message: `Freed the leader Lease: ${leadership.evidence}.` };
  return [
    { kind: 'clearLease', lease: leaderLease, witness: leadership.witness },
    { kind: 'recordEvent', event },
  ];
}

/** The same object is applied no more often than this, whoever else keeps changing it. */
const applyIntervalMs = 1_000;

function planObjects({ cluster, desired, live, refusals, appliedAgoMs }: Observed): Action[] {
  if (desired.kind === 'invalid') return [];
  const { uid } = cluster.metadata;
  const actions: Action[] = [];
  for (const object of desired.objects) {
    const key = objectKey(object);
    const found = live.get(key);
    const refusal = refusals.get(key);
    if (found !== undefined && !(isAlive(found.object) && isOurs(found.object, uid) && hasDrifted(object, found))) continue;
    const refusedMs = refusal?.digest === digestOf(object) ? refusal.retryInMs : 0;
    const waitMs = Math.max(refusedMs, applyIntervalMs - (appliedAgoMs.get(key) ?? applyIntervalMs));
    actions.push(waitMs > 0 ? { kind: 'planAgain', afterMs: waitMs } : { kind: 'applyObject', object, absent: found === undefined });
  }
  const wanted = new Set(desired.objects.map(objectKey));
  const surplus = [...live].filter(([key, { object }]) => !wanted.has(key) && isAlive(object) && ownerOf(object) === uid);
  return [...actions, ...surplus.map(([, { object }]): Action => ({ kind: 'deleteObject', object }))];
}

const hasDrifted = (desired: KubeObject, { object, tolerated }: LiveObject): boolean => differences(desired, object).join() !== tolerated;
const isAlive = (object: KubeObject): boolean => object.metadata.deletionTimestamp === undefined;

function planRollout({ rollout }: Judgement): Action[] {
  if (rollout.kind !== 'replace') return [];
  const { pod, podUid, message } = rollout;
  return [
    { kind: 'deletePod', pod, podUid, message },
    { kind: 'recordEvent', event: { type: 'Normal', reason: 'PodReplaced', message } },
  ];
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

function planLater({ start }: Judgement): Action[] {
  return start.kind === 'gathering' && start.decideAgainMs !== null ? [{ kind: 'planAgain', afterMs: start.decideAgainMs }] : [];
}
