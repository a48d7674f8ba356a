// Planted bugs in what counts: votes, acknowledgements, promises, epochs, reads.
import type { Mutant } from './mutant.ts';

const core = 'sidecar/core';

export const countingMutants: readonly Mutant[] = [
  {
    name: 'reports what is not durable yet',
    file: `${core}/state.ts`,
    find: 'promise: m.durable.promise,\n    position: m.durable.position,',
    replace: 'promise: m.promise,\n    position: m.log.position(),',
  },
  {
    name: 'counts its own acknowledgement twice',
    file: `${core}/quorum.ts`,
    find: 'const reports = [own,',
    replace: 'const reports = [own, own,',
  },
  {
    name: 'counts reports under any promise, and leads on when it hears a higher one',
    file: `${core}/quorum.ts`,
    find: '.filter(({ promise }) => sameEpoch(promise, epoch))',
    replace: '',
    also: {
      file: `${core}/member.ts`,
      find: 'if (compareEpochs(report.promise, m.role.epoch) > 0)',
      replace: 'if (compareEpochs(report.promise, m.role.epoch) > 1e9)',
    },
  },
  {
    name: 'counts a parted log by its length',
    file: `${core}/quorum.ts`,
    find: 'm.log.contains(position.index, position.hash) ? position.index : 0',
    replace: 'position.index',
  },
  {
    name: 'the nonce of an epoch does not count',
    file: 'common/position.ts',
    find: 'return compareEpochs(a, b) === 0 && a.nonce === b.nonce;',
    replace: 'return compareEpochs(a, b) === 0;',
  },
  {
    name: 'compares UIDs before epochs',
    file: 'common/position.ts',
    find: 'return compareEpochs(a.epoch, b.epoch) || a.uid - b.uid ||',
    replace: 'return a.uid - b.uid || compareEpochs(a.epoch, b.epoch) ||',
  },
  {
    name: 'opens without a majority for its claim',
    file: `${core}/election.ts`,
    find: 'if (reached >= candidate.claimIndex && !refuseBelowMark(m))',
    replace: 'if (reached >= 0 && !refuseBelowMark(m))',
  },
  {
    name: 'claims without votes',
    file: `${core}/election.ts`,
    find: 'stage.votes.size >= majority(m)',
    replace: 'stage.votes.size >= 1',
  },
  {
    name: 'claims twice in one epoch',
    file: `${core}/election.ts`,
    find: '  if (seq === null) {\n    restart(m, candidate);',
    replace: '  if (seq === null) {\n    claim(m, candidate);',
  },
  {
    name: 'trusts the Lease as a fence',
    file: `${core}/leadership.ts`,
    find: "m.config.durability === 'Leader'\n",
    replace: "m.config.durability === 'Leader' || m.lease.isFresh(m.now.nowMs)\n",
  },
  {
    name: 'acknowledges frames of older epochs by their count',
    file: `${core}/leadership.ts`,
    find: 'if (reached >= leader.claimIndex && reached > m.acknowledgedIndex)',
    replace: 'if (reached > m.acknowledgedIndex)',
  },
  {
    name: 'votes before its promise is durable',
    file: `${core}/vote.ts`,
    find: 'persist(m, { promise: m.promise }, () => {\n    if (sameEpoch(m.promise, request.epoch)) answerVote(m, request.from, request.epoch, true);\n  });',
    replace: 'answerVote(m, request.from, request.epoch, true);\n  persist(m, { promise: m.promise });',
  },
  {
    name: 'votes for a less advanced log',
    file: `${core}/vote.ts`,
    find: ' && comparePositions(request.position, m.log.position()) >= 0;',
    replace: ';',
  },
  {
    name: 'votes twice in one epoch',
    file: `${core}/vote.ts`,
    find: '(repeats || compareEpochs(request.epoch, m.promise) > 0)',
    replace: '(repeats || compareEpochs(request.epoch, m.promise) >= 0)',
  },
  {
    name: 'leads on when a higher epoch is in its log',
    file: `${core}/member.ts`,
    find: "if (m.role.kind === 'leader' && !sameEpoch(m.promise, m.role.epoch)) stepDown(m, 'a higher epoch is in the log');",
    replace: '',
    where: { faults: ['leaseTwice', 'natsCut', 'oneWayCut'] },
  },
  {
    name: 'answers reads without asking anybody',
    file: `${core}/leadership.ts`,
    find: '  role.reads.push({ id, round: null, deadlineMs: m.now.nowMs + coreLimits.submitTimeoutMs });',
    replace: "  m.effects.push({ kind: 'answerRead', id, result: { kind: 'confirmed', uid: m.store.uid } });",
    where: { faults: ['leaseTwice', 'natsCut'] },
  },
  {
    name: 'reads are confirmed by a round that had begun before',
    file: `${core}/leadership.ts`,
    find: '  for (const read of leader.reads) read.round ??= leader.round;',
    replace: '  for (const read of leader.reads) read.round ??= leader.round - 1;',
  },
  {
    name: 'rounds of an older leadership confirm reads',
    file: `${core}/member.ts`,
    find: 'const same = known?.identity === report.identity && sameEpoch(known.promise, report.promise);',
    replace: 'const same = known !== undefined;',
  },
  {
    name: 'publishes two frames at once',
    file: `${core}/leadership.ts`,
    find: 'if (leader.publishing !== null || leader.queue.length === 0 || m.reloading) return;',
    replace: 'if (leader.queue.length === 0 || m.reloading) return;',
  },
  {
    name: 'the gate opens at the first word of a leader',
    file: `${core}/member.ts`,
    find: 'if (acknowledged.index === 0 || !keepsUp(m, acknowledged) || m.synced) return;',
    replace: 'if (m.synced) return;',
  },
];
