// Which changes of its states a member can make (SPEC.md, "States"), and which of them runs have not shown. A process begins anew each time, and no end is a change.
// What is not listed is held for impossible: a run that shows it says so. Within one input several may happen, of which the last is seen.
type Aspect = 'role' | 'join' | 'disk' | 'phase';

export const transitionName = (aspect: Aspect, from: string, to: string): string => `${aspect}: ${from} -> ${to}`;

/** By state: what may come after it. */
const after: Readonly<Record<Aspect, Readonly<Record<string, readonly string[]>>>> = {
  // A candidate is where its candidacy is. It steps down from everywhere, and stands again only at a later tick.
  role: {
    follower: ['reading'],
    reading: ['promising', 'follower'],
    // Without votes, or with its own alone, the claim comes at once.
    promising: ['voting', 'claiming', 'follower'],
    voting: ['claiming', 'reading', 'follower'],
    // Where nothing has to be filled in, and the own disk is enough, it opens at once.
    claiming: ['filling', 'confirming', 'leader', 'reading', 'follower'],
    filling: ['confirming', 'leader', 'reading', 'follower'],
    confirming: ['leader', 'follower'],
    leader: ['follower'],
  },
  // Whoever runs is judged no more.
  join: { undecided: ['running', 'blocked'], blocked: ['running', 'undecided'] },
  // Made anew from its journal before its disk is registered, a member begins again.
  disk: { unverified: ['writing'], writing: ['registering', 'unverified'], registering: ['registered', 'unverified'] },
  // Leading is reached through an election, which is a reason to wait. Nothing comes after Stopping. A member whose disk is not registered may follow:
  // without its leader it is Starting again.
  phase: {
    Starting: ['Waiting', 'CatchingUp', 'Following', 'Blocked', 'Stopping'],
    Waiting: ['Starting', 'CatchingUp', 'Following', 'Leading', 'Blocked', 'Stopping'],
    CatchingUp: ['Following', 'Waiting', 'Starting', 'Stopping'],
    Following: ['CatchingUp', 'Waiting', 'Starting', 'Stopping'],
    Leading: ['Waiting', 'Following', 'Stopping'],
    Blocked: ['CatchingUp', 'Following', 'Waiting', 'Stopping'],
  },
};

/**
 * Those that come less than once in 1,000 runs. More often with `divergedMember: Block` and a long time of forcedAlone, streamLosesEnd, streamLost, rollout, stop, apiAway and
 * diskFull, or of apiCut, pause, leaseGiven, apiAway and leaseLate.
 */
const rare: readonly string[] = [
  transitionName('join', 'blocked', 'undecided'),
  transitionName('disk', 'registering', 'unverified'),
  transitionName('phase', 'Starting', 'Blocked'),
  transitionName('phase', 'CatchingUp', 'Starting'),
  transitionName('phase', 'Following', 'Starting'),
  transitionName('phase', 'Leading', 'Following'),
  transitionName('phase', 'Blocked', 'Following'),
  transitionName('phase', 'Blocked', 'Waiting'),
  transitionName('phase', 'Blocked', 'Stopping'),
];

export const isRare = (name: string): boolean => rare.includes(name);

const transitions: readonly string[] = (Object.keys(after) as Aspect[]).flatMap((aspect) =>
  Object.entries(after[aspect]).flatMap(([from, to]) => to.map((each) => transitionName(aspect, from, each))),
);

/** Names of transitions that were counted, among whatever else was. */
const counted = (counts: ReadonlyMap<string, number>): string[] =>
  [...counts.keys()].filter((name) => Object.keys(after).some((aspect) => name.startsWith(`${aspect}: `)));

export const unreached = (counts: ReadonlyMap<string, number>): string[] => transitions.filter((name) => !counts.has(name));

export const unlisted = (counts: ReadonlyMap<string, number>): string[] => counted(counts).filter((name) => !transitions.includes(name));
