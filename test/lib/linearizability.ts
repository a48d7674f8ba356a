// Whether a history of client operations on a key-value store is linearizable: Wing and Gong's search as Lowe made it fast ("Testing for
// linearizability", 2017): what was done and the state that it led to are remembered, and each key is judged alone (a history is
// linearizable exactly when it is for each key). Where UIDs are told, the order of a key's changes must also be the order of their UIDs (I1).
// Never says `linearizable` of what it did not search to the end: past the step limit a key is `undecided`.
import { describe, happeningsOf, type Attempt, type Condition, type Happening } from './client-history.ts';

/** Steps for one key; a step looks at one set of operations that are done. */
const defaultMaxSteps = 200_000;

export type Verdict =
  | { readonly kind: 'linearizable'; readonly steps: number }
  | { readonly kind: 'violation'; readonly key: string; readonly detail: string }
  | { readonly kind: 'undecided'; readonly key: string; readonly steps: number };

/** A violation of one key outweighs what could not be decided of another. */
export function checkLinearizable(history: readonly Attempt[], maxSteps: number = defaultMaxSteps): Verdict {
  let undecided: Verdict | null = null;
  let steps = 0;
  for (const [key, attempts] of Map.groupBy(history, ({ key: each }) => each)) {
    const happenings = happeningsOf(attempts);
    if (typeof happenings === 'string') return { kind: 'violation', key, detail: happenings };
    const verdict = searchKey(key, eventsOf(happenings), maxSteps);
    if (verdict.kind === 'violation') return verdict;
    steps += verdict.steps;
    if (verdict.kind === 'undecided') undecided ??= verdict;
  }
  return undecided ?? { kind: 'linearizable', steps };
}

/** A happening with all that the history tells of it. */
interface Event extends Omit<Happening, 'before'> {
  /** Place of the change that it does not come after; -1 when there is none. */
  readonly beforePlace: number;
  /** Of a change: what it writes, and its UID as far as anybody was told. */
  readonly value: string | null;
  readonly uid: number | undefined;
  /** The UID that it names is not known to be that of a change: it may be that of one whose UID nobody was told. */
  readonly mayBind: boolean;
  /** Those that are alike may stand for each other: only the first that began is tried. `null`: alike to none. */
  readonly likeness: string | null;
}

/** In the place of a value that no read and no condition names, of a change that may not have happened. */
const unnamed = '(named by nobody)';

/** What is read of a value that only one change writes tells of that change: it happened, before the read returned, with that UID. */
function eventsOf(happenings: readonly Happening[]): Event[] {
  const reads = happenings.filter(({ attempt }) => attempt.result.kind === 'value');
  const changes = happenings.filter(({ attempt }) => attempt.result.kind === 'written' || attempt.result.kind === 'unknown');
  const valueOf = ({ attempt: { op, result } }: Happening): string | null =>
    result.kind === 'value' ? result.value : op.kind === 'put' ? op.value : null;
  const named = new Set(reads.map(valueOf));
  for (const { attempt } of happenings) named.add(conditionOf(attempt)?.value ?? null);
  const readsOf = Map.groupBy(reads, valueOf);
  const changesOf = Map.groupBy(changes, valueOf);
  const awaited = new Set(happenings.map(({ before }) => before));
  const events = happenings.map((happening): Omit<Event, 'mayBind'> => {
    const { attempt, before, optional, returnedAt, invokedAt } = happening;
    const { op, result } = attempt;
    const value = valueOf(happening);
    const isOnlyWriter = op.kind === 'put' && result.kind !== 'conflict' && changesOf.get(value)?.length === 1;
    const sightings = isOnlyWriter ? (readsOf.get(value) ?? []) : [];
    const told = [result, ...sightings.map((sighting) => sighting.attempt.result)].flatMap((each) => ('uid' in each ? [each.uid] : []));
    const isDoubtful = optional && sightings.length === 0;
    const written = isDoubtful && value !== null && !named.has(value) ? unnamed : value;
    return {
      attempt,
      invokedAt,
      beforePlace: before === null ? -1 : happenings.indexOf(before),
      returnedAt: Math.min(returnedAt, ...sightings.map((sighting) => sighting.returnedAt)),
      optional: isDoubtful,
      value: written,
      uid: told[0],
      likeness: isDoubtful && !awaited.has(happening) ? JSON.stringify([written, conditionOf(attempt)]) : null,
    };
  });
  const told = new Set(events.flatMap(({ attempt, uid }) => (attempt.op.kind === 'read' ? [] : [uid])));
  return events.map((event) => ({ ...event, mayBind: !told.has(uidNamedBy(event.attempt)) }));
}

const conditionOf = ({ op }: Attempt): Condition | undefined => (op.kind === 'read' ? undefined : op.condition);
const uidNamedBy = (attempt: Attempt): number | undefined =>
  attempt.result.kind === 'value' ? attempt.result.uid : conditionOf(attempt)?.uid;

/** Of one key. */
interface State {
  readonly value: string | null;
  /** Of the last change of the key; a lower bound when it is not `exact`. */
  readonly uid: number;
  readonly exact: boolean;
  /** Made by an operation that may as well not have happened, and nothing depends on it yet. */
  readonly idle: boolean;
}
const initialState: State = { value: null, uid: 0, exact: true, idle: false };

/** A set of operations that are done, in some order that led to `state`: all before `next` (in order of invocation) but the `open` ones. */
interface Node {
  readonly open: readonly number[];
  readonly next: number;
  readonly state: State;
  /** Operations that must happen and have not yet. */
  readonly left: number;
}

function searchKey(key: string, events: readonly Event[], maxSteps: number): Verdict {
  const first: Node = { open: [], next: 0, state: initialState, left: events.filter(({ optional }) => !optional).length };
  const known = new Set<string>();
  const stack = [first];
  let closest = first;
  let steps = 0;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.left === 0) return { kind: 'linearizable', steps };
    if (steps === maxSteps) return { kind: 'undecided', key, steps };
    steps += 1;
    if (node.left < closest.left) closest = node;
    for (const successor of successorsOf(node, events)) {
      const { value, uid, exact, idle } = successor.state;
      const id = JSON.stringify([successor.next, successor.open, value, uid, exact, idle]);
      if (known.has(id)) continue;
      known.add(id);
      stack.push(successor);
    }
  }
  return { kind: 'violation', key, detail: explain(closest, events) };
}

/** What may be done next, the most promising last. */
function successorsOf(node: Node, events: readonly Event[]): Node[] {
  const certain: Node[] = [];
  const doubtful: Node[] = [];
  const tried = new Set<string>();
  for (const at of candidatesOf(node, events)) {
    const event = events[at];
    if (event === undefined || isTooLate(event, node) || (event.likeness !== null && tried.has(event.likeness))) continue;
    if (event.likeness !== null) tried.add(event.likeness);
    const state = stateAfter(node.state, event);
    if (state === null) continue;
    const successor = without(node, at, state, event.optional);
    // An observation that fits and changes nothing may be taken at once: any order that has it later has one with it here.
    if (state === node.state) return [successor];
    (event.optional ? doubtful : certain).push(successor);
  }
  // What was acknowledged first in real time is tried first.
  return [...doubtful.reverse(), ...certain.reverse()];
}

/** Those that began before any that is not done had returned; the order of invocation makes the rest of the list superfluous. */
function candidatesOf({ open, next }: Node, events: readonly Event[]): number[] {
  const found: number[] = [];
  let firstReturn = Infinity;
  const pending = function* (): Generator<number> {
    yield* open;
    for (let at = next; at < events.length; at += 1) yield at;
  };
  for (const at of pending()) {
    const event = events[at];
    if (event === undefined || event.invokedAt > firstReturn) break;
    firstReturn = Math.min(firstReturn, event.returnedAt);
    found.push(at);
  }
  return found;
}

const isTooLate = ({ beforePlace }: Event, { open, next }: Node): boolean =>
  beforePlace !== -1 && beforePlace < next && !open.includes(beforePlace);

function without(node: Node, at: number, state: State, optional: boolean): Node {
  const skipped = Array.from({ length: Math.max(0, at - node.next) }, (_, nth) => node.next + nth);
  return {
    open: [...node.open.filter((each) => each !== at), ...skipped],
    next: Math.max(node.next, at + 1),
    state,
    left: node.left - (optional ? 0 : 1),
  };
}

/** `null` when it cannot have happened in this state; the state itself when it only observed. */
function stateAfter(state: State, event: Event): State | null {
  const { op, result } = event.attempt;
  if (result.kind === 'value') {
    if (result.value !== state.value) return null;
    return observed(result.uid === undefined || result.value === null ? state : withUid(state, result.uid, event.mayBind));
  }
  if (op.kind === 'read') return null;
  if (result.kind === 'conflict') return mayFail(state, op.condition ?? {}) ? observed(state) : null;
  const before = meet(state, op.condition, event.mayBind);
  return before === null ? null : changed(before, event, op.condition !== undefined);
}

function changed(before: State, { value, uid, optional }: Event, isConditional: boolean): State | null {
  // A change that nobody has seen, and that another one overwrites unseen, is left out: the order without it is as good.
  if (before.idle && !isConditional) return null;
  if (uid !== undefined && uid <= before.uid) return null;
  return { value, uid: uid ?? before.uid + 1, exact: uid !== undefined, idle: optional };
}

const observed = (state: State | null): State | null => (state?.idle ? { ...state, idle: false } : state);

/** The state, now that the UID of its last change is known to be `uid`; `null` when it is another. */
function withUid(state: State, uid: number, mayBind: boolean): State | null {
  if (state.exact) return state.uid === uid ? state : null;
  return mayBind && uid >= state.uid ? { ...state, uid, exact: true } : null;
}

/** The state in which the condition holds, `null` when it does not. */
function meet(state: State, condition: Condition = {}, mayBind = true): State | null {
  const { exists, uid, value } = condition;
  if (exists !== undefined && exists !== (state.value !== null)) return null;
  if (value !== undefined && value !== state.value) return null;
  if (uid === undefined) return state;
  if (state.value === null) return uid === 0 ? state : null;
  return withUid(state, uid, mayBind);
}

/** A UID that is not known may always be another one: this errs on the side of `linearizable`. */
function mayFail(state: State, condition: Condition): boolean {
  const after = meet(state, condition);
  return after === null || after.exact !== state.exact;
}

function explain({ open, next, state }: Node, events: readonly Event[]): string {
  const pending = events.filter((event, at) => !event.optional && (at >= next || open.includes(at)));
  const [first] = pending.sort((a, b) => a.returnedAt - b.returnedAt);
  return `no order explains it; the longest ends with value ${String(state.value)} (UID ${state.exact ? '' : 'at least '}${String(state.uid)}) before ${describe(first?.attempt)}`;
}
