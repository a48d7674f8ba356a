// Planted bugs in what starts a cluster and takes members in: the operator's start round, forced starts, the judgement of a log that joins.
import type { Mutant } from './mutant.ts';

const round = 'operator/core/start-round.ts';
const join = 'sidecar/core/join.ts';

export const startingMutants: readonly Mutant[] = [
  {
    name: 'a replaced disk may be designated',
    file: round,
    find: 'return counted.filter(({ report }) => report.voter || (report.position.index === 0 && isOneOf(founding ?? [], report)));',
    replace: 'return counted;',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'designates no disk that does not count, though it comes first' },
  },
  {
    name: 'a replaced disk counts towards the majority of a round',
    file: round,
    find: 'counted.some(({ report }) => isOneOf([disk], report))',
    replace: 'counted.some(({ name }) => name === disk.pod)',
  },
  {
    name: 'a round opens below the high-water mark',
    file: round,
    find: 'if (mark !== null && lacks(',
    replace: 'if (mark !== null && mark.uid < 0 && lacks(',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'keeps a log with fewer changes from leading' },
  },
  {
    name: 'a round knows the high-water mark by its UID alone',
    file: round,
    find: 'return order < 0 || (order === 0 && end.hash !== mark.hash);',
    replace: 'return order * 0 + end.uid < mark.uid;',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'keeps a log with another change in its place from leading' },
  },
  {
    name: 'forgets the marks that members reported since',
    file: round,
    find: 'mark !== null && (highest === null || comparePositions(mark, highest) > 0)',
    replace: 'mark !== null && highest === null',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'is also what a member reported as acknowledged that is gone now' },
  },
  {
    name: 'designates the last of those that are equal',
    file: round,
    find: '> 0 ? b : a), best);',
    replace: '>= 0 ? b : a), best);',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'K6: designates the first in failover.csv on a tie' },
  },
  {
    name: 'designates the least advanced',
    file: round,
    find: '> 0 ? b : a), best);',
    replace: '< 0 ? b : a), best);',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'K6: designates the highest UID' },
  },
  {
    name: 'uses a generation twice',
    file: round,
    find: 'return known > used ? known : used + 1;',
    replace: 'return Math.max(known, used);',
  },
  {
    name: 'recovers while a member is missing',
    file: round,
    find: 'if (!allPresent) return null;',
    replace: '',
    targeted: {
      file: 'unit/operator-start-round.test.ts',
      title: 'recovers nothing while a member is missing, which may have what the others lack (I2)',
    },
  },
  {
    name: 'a round opens without a majority',
    file: round,
    find: 'present.length >= majorityOf(candidates.length)',
    replace: 'present.length >= 1',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'founds no cluster with less than a majority' },
  },
  {
    name: 'a round opens over logs of two clusters',
    file: round,
    find: 'if (ids.size > 1) return',
    replace: 'if (ids.size > 9) return',
    targeted: { file: 'unit/operator-start-round.test.ts', title: 'has to be one: others are named' },
  },
  {
    name: 'a forced start is held to the high-water mark',
    file: round,
    find: '    highWaterMark: null,\n',
    replace: '    highWaterMark: observed.cluster.status?.highWaterMark ?? null,\n',
    targeted: {
      file: 'unit/operator-orders.test.ts',
      title: 'raises the generation in the status before it opens a round that names the pod (K10)',
    },
  },
  {
    name: 'joins a leader that it is ahead of, and parted from',
    file: join,
    find: 'facts.localHasLeaderEnd || leader.uid < local.uid',
    replace: 'facts.localHasLeaderEnd',
    targeted: { file: 'unit/join.test.ts', title: 'is told what the table says, whatever the two logs are' },
  },
  {
    name: 'joins a leader whose log ends within its own',
    file: join,
    find: 'facts.localHasLeaderEnd || leader.uid < local.uid',
    replace: '!facts.localHasLeaderEnd && leader.uid < local.uid',
    targeted: { file: 'unit/join.test.ts', title: 'is told what the table says, whatever the two logs are' },
  },
  {
    name: 'joins the log of another cluster',
    file: join,
    find: 'facts.localClusterId !== facts.leaderClusterId',
    replace: "facts.leaderClusterId === ''",
    targeted: { file: 'unit/join.test.ts', title: 'is told what the table says, whatever the two logs are' },
  },
];
