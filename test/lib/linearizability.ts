// Whether a history of client operations on a key-value store is linearizable: Wing and Gong's search as Lowe made it fast ("Testing for
// linearizability", 2017): what was done and the state that it led to are remembered, and each key is judged alone (a history is
// linearizable exactly when it is for each key). Where UIDs are told, the order of a key's changes must also be the order of their UIDs (I1).
// Never says `linearizable` of what it did not search to the end: past the step limit a key is `undecided`.
import { describe, happeningsOf, type Attempt, type Condition, type Happening, type KeyOperation } from './client-history.ts';

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
    const verdict = searchKey(key, happenings, maxSteps);
    if (verdict.kind === 'violation') return verdict;
    steps += verdict.steps;
    if (verdict.kind === 'undecided') undecided ??= verdict;
  }
  return undecided ?? { kind: 'linearizable', steps };
}

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

function searchKey(key: string, happenings: readonly Happening[], maxSteps: number): Verdict {
  const first: Node = { open: [], next: 0, state: initialState, left: happenings.filter(({ optional }) => !optional).length };
  const known = new Set<string>();
  const stack = [first];
  let closest = first;
  let steps = 0;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.left === 0) return { kind: 'linearizable', steps };
    if (steps === maxSteps) return { kind: 'undecided', key, steps };
    steps += 1;
    if (node.left < closest.left) closest = node;
    for (const successor of successorsOf(node, happenings)) {
      const { value, uid, exact, idle } = successor.state;
      const id = JSON.stringify([successor.next, successor.open, value, uid, exact, idle]);
      if (known.has(id)) continue;
      known.add(id);
      stack.push(successor);
    }
  }
  return { kind: 'violation', key, detail: explain(closest, happenings) };
}

/** What may be done next, the most promising last. */
function successorsOf(node: Node, happenings: readonly Happening[]): Node[] {
  const certain: Node[] = [];
  const doubtful: Node[] = [];
  for (const at of candidatesOf(node, happenings)) {
    const happening = happenings[at];
    if (happening === undefined || isTooLate(happening, node, happenings)) continue;
    const state = stateAfter(node.state, happening);
    if (state === null) continue;
    const successor = without(node, at, state, happening.optional);
    // An observation that fits and changes nothing may be taken at once: any order that has it later has one with it here.
    if (state === node.state) return [successor];
    (happening.optional ? doubtful : certain).push(successor);
  }
  // What was acknowledged first in real time is tried first.
  return [...doubtful.reverse(), ...certain.reverse()];
}

/** Those that began before any that is not done had returned; the order of invocation makes the rest of the list superfluous. */
function candidatesOf({ open, next }: Node, happenings: readonly Happening[]): number[] {
  const found: number[] = [];
  let firstReturn = Infinity;
  const pending = function* (): Generator<number> {
    yield* open;
    for (let at = next; at < happenings.length; at += 1) yield at;
  };
  for (const at of pending()) {
    const happening = happenings[at];
    if (happening === undefined || happening.invokedAt > firstReturn) break;
    firstReturn = Math.min(firstReturn, happening.returnedAt);
    found.push(at);
  }
  return found;
}

function isTooLate({ before }: Happening, { open, next }: Node, happenings: readonly Happening[]): boolean {
  if (before === null) return false;
  const at = happenings.indexOf(before);
  return at < next && !open.includes(at);
}

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
function stateAfter(state: State, { attempt, optional }: Happening): State | null {
  const { op, result } = attempt;
  if (result.kind === 'value') {
    if (result.value !== state.value) return null;
    return observed(result.uid === undefined || result.value === null ? state : withUid(state, result.uid));
  }
  if (op.kind === 'read') return null;
  if (result.kind === 'conflict') return mayFail(state, op.condition ?? {}) ? observed(state) : null;
  const before = meet(state, op.condition);
  return before === null ? null : changed(before, op, result.kind === 'written' ? result.uid : undefined, optional);
}

function changed(before: State, op: Exclude<KeyOperation, { kind: 'read' }>, uid: number | undefined, optional: boolean): State | null {
  // A change that nobody has seen, and that another one overwrites unseen, is left out: the order without it is as good.
  if (before.idle && op.condition === undefined) return null;
  if (uid !== undefined && uid <= before.uid) return null;
  return { value: op.kind === 'put' ? op.value : null, uid: uid ?? before.uid + 1, exact: uid !== undefined, idle: optional };
}

const observed = (state: State | null): State | null => (state?.idle ? { ...state, idle: false } : state);

/** The state, now that the UID of its last change is known to be `uid`; `null` when it is another. */
function withUid(state: State, uid: number): State | null {
  if (state.exact) return state.uid === uid ? state : null;
  return uid >= state.uid ? { ...state, uid, exact: true } : null;
}

/** The state in which the condition holds, `null` when it does not. */
function meet(state: State, condition: Condition = {}): State | null {
  const { exists, uid, value } = condition;
  if (exists !== undefined && exists !== (state.value !== null)) return null;
  if (value !== undefined && value !== state.value) return null;
  if (uid === undefined) return state;
  if (state.value === null) return uid === 0 ? state : null;
  return withUid(state, uid);
}

/** A UID that is not known may always be another one: this errs on the side of `linearizable`. */
function mayFail(state: State, condition: Condition): boolean {
  const after = meet(state, condition);
  return after === null || after.exact !== state.exact;
}

function explain({ open, next, state }: Node, happenings: readonly Happening[]): string {
  const pending = happenings.filter((happening, at) => !happening.optional && (at >= next || open.includes(at)));
  const [first] = pending.sort((a, b) => a.returnedAt - b.returnedAt);
  return `no order explains it; the longest ends with value ${String(state.value)} (UID ${state.exact ? '' : 'at least '}${String(state.uid)}) before ${describe(first?.attempt)}`;
}
