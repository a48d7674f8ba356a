// What clients of a key-value store did and what they were told, and how the attempts of one change become one operation.
// Holds linearizable reads and changes of one key each; times are numbers of any unit, on one clock. Knows no network and no simulator.
// Not for it: reads that may be stale, and changes of several keys. That those are all or nothing is for an oracle that replays the log.

/** Each given field must hold for the change's own key: `uid` is that of the key's last change, 0 when the key does not exist. */
export interface Condition {
  readonly exists?: boolean;
  readonly uid?: number;
  readonly value?: string;
}

export type KeyOperation =
  | { readonly kind: 'put'; readonly value: string; readonly condition?: Condition }
  | { readonly kind: 'delete'; readonly condition?: Condition }
  | { readonly kind: 'read' };

export type Result =
  /** The change is acknowledged; `uid` is checked where it is given. */
  | { readonly kind: 'written'; readonly uid?: number }
  /** The change was judged and its condition did not hold. */
  | { readonly kind: 'conflict' }
  /** It did not happen and never will. */
  | { readonly kind: 'refused' }
  /** It may have happened, and may still happen at any later time. */
  | { readonly kind: 'unknown' }
  /** Of a read; `null` when the key does not exist. */
  | { readonly kind: 'value'; readonly value: string | null; readonly uid?: number };

/** One attempt. Attempts with the same idempotency key are one operation. */
export interface Attempt {
  readonly client: string;
  readonly key: string;
  readonly op: KeyOperation;
  readonly idempotencyKey?: string;
  readonly invokedAt: number;
  /** `null` when no answer came. */
  readonly returnedAt: number | null;
  readonly result: Result;
}

/** Something that took effect at one moment from `invokedAt` to `returnedAt`, or (`optional`) perhaps never. */
export interface Happening {
  readonly attempt: Attempt;
  readonly invokedAt: number;
  /** Infinity when the outcome is not known. */
  readonly returnedAt: number;
  readonly optional: boolean;
  /** The same change, judged before it was accepted: a conflict never comes after the acceptance (I8). */
  readonly before: Happening | null;
}

/** The happenings of one key, or a sentence that says why its attempts contradict each other. Throws on an attempt that makes no sense. */
export function happeningsOf(attempts: readonly Attempt[]): Happening[] | string {
  const happenings: Happening[] = [];
  for (const group of groupAttempts(attempts)) {
    const written = group.filter(({ result }) => result.kind === 'written');
    const uids = new Set(written.flatMap(({ result }) => (result.kind === 'written' && result.uid !== undefined ? [result.uid] : [])));
    if (uids.size > 1) return `${describe(group[0])} was acknowledged with the UIDs ${[...uids].join(' and ')}`;
    const change = changeOf(
      group.filter(({ op, result }) => op.kind !== 'read' && (result.kind === 'written' || result.kind === 'unknown')),
      written,
    );
    if (change !== null) happenings.push(change);
    for (const attempt of group) {
      if (attempt.result.kind !== 'conflict' && attempt.result.kind !== 'value') continue;
      const { invokedAt, returnedAt } = attempt;
      happenings.push({ attempt, invokedAt, returnedAt: returnedAt ?? Infinity, optional: false, before: change });
    }
  }
  return happenings.sort((a, b) => a.invokedAt - b.invokedAt);
}

/** It began with the first attempt that may have done it, and was done when the first acknowledgement came. */
function changeOf(candidates: readonly Attempt[], written: readonly Attempt[]): Happening | null {
  // The UID may be told by any of the acknowledgements.
  const told = written.find(({ result }) => result.kind === 'written' && result.uid !== undefined) ?? written[0] ?? candidates[0];
  if (told === undefined) return null;
  return {
    attempt: told,
    invokedAt: Math.min(...candidates.map(({ invokedAt }) => invokedAt)),
    returnedAt: Math.min(...written.map(({ returnedAt }) => returnedAt ?? Infinity)),
    optional: written.length === 0,
    before: null,
  };
}

function groupAttempts(attempts: readonly Attempt[]): Attempt[][] {
  const groups = new Map<string, Attempt[]>();
  attempts.forEach((attempt, at) => {
    assertSensible(attempt);
    const id = attempt.idempotencyKey === undefined ? `attempt ${String(at)}` : `key ${attempt.idempotencyKey}`;
    const group = groups.get(id) ?? [];
    if (group[0] !== undefined && JSON.stringify(group[0].op) !== JSON.stringify(attempt.op))
      throw new Error(`history: ${describe(attempt)} reuses the idempotency key of ${describe(group[0])}`);
    groups.set(id, [...group, attempt]);
  });
  return [...groups.values()];
}

function assertSensible(attempt: Attempt): void {
  const { op, result, invokedAt, returnedAt } = attempt;
  const told = result.kind !== 'unknown';
  const fits = !told || result.kind === 'refused' || (op.kind === 'read') === (result.kind === 'value');
  if (!fits || (told && returnedAt === null) || (returnedAt !== null && returnedAt < invokedAt))
    throw new Error(`history: ${describe(attempt)} makes no sense`);
}

export function describe(attempt: Attempt | undefined): string {
  if (attempt === undefined) return 'nothing';
  const { client, key, op, result, invokedAt, returnedAt } = attempt;
  return `${client} ${JSON.stringify(op)} on ${key} from ${String(invokedAt)} to ${String(returnedAt)}: ${JSON.stringify(result)}`;
}
