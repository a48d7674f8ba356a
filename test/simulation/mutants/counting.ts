// Planted bugs in what counts: votes, acknowledgements, promises, epochs, reads.
import type { Mutant } from './mutant.ts';

const core = 'sidecar/core';

export const countingMutants: readonly Mutant[] = [
  {
    name: 'reports what is not durable yet',
    file: 'sidecar/core/eligibility.ts',
    find: 'promise: m.durable.promise,\n    position: m.durable.position,',
    replace: 'promise: m.promise,\n    position: m.log.position(),',
  },
  {
    name: 'counts its own acknowledgement twice',
    file: 'sidecar/core/quorum.ts',
    find: 'return values.sort((a, b) => b - a)[Math.floor(voters.length / 2)] ?? 0;',
    replace: 'return values.sort((a, b) => b - a)[Math.max(0, Math.floor(voters.length / 2) - 1)] ?? 0;',
  },
  {
    name: 'counts reports under any promise, and leads on when it hears a higher one',
    file: `${core}/quorum.ts`,
    find: '.filter(({ promise }) => sameEpoch(promise, epoch))',
    replace: '',
    also: [
      {
        file: `${core}/member.ts`,
        find: 'if (compareEpochs(report.promise, m.role.epoch) > 0)',
        replace: 'if (compareEpochs(report.promise, m.role.epoch) > 1e9)',
      },
    ],
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'counts no report under a promise below its own (I3)' },
    because: 'who has promised more follows no frame of this leader; only with that rule gone too an acknowledged change is lost',
  },
  {
    name: 'acknowledges by who has promised another epoch: follows, counts, and leads on',
    file: `${core}/quorum.ts`,
    find: '.filter(({ promise }) => sameEpoch(promise, epoch))',
    replace: '',
    also: [
      {
        file: `${core}/member.ts`,
        find: 'if (compareEpochs(report.promise, m.role.epoch) > 0)',
        replace: 'if (compareEpochs(report.promise, m.role.epoch) > 1e9)',
      },
      {
        file: `${core}/reader.ts`,
        find: '!isBelowPromise(m, frame) && compareEpochs(frame.epoch',
        replace: 'compareEpochs(frame.epoch',
      },
    ],
    targeted: {
      file: 'unit/member-votes.test.ts',
      title: 'a leader acknowledges nothing with a member that has voted for another, who would lead without it (I2)',
    },
  },
  {
    name: 'counts a parted log by its length',
    file: 'sidecar/core/quorum.ts',
    find: 'index: m.log.holds(position) ? position.index : 0,',
    replace: 'index: position.index,',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'counts no log that is as long and parted from its own (I2)' },
  },
  {
    name: 'the nonce of an epoch does not count',
    file: 'common/position.ts',
    find: 'return compareEpochs(a, b) === 0 && a.nonce === b.nonce;',
    replace: 'return compareEpochs(a, b) === 0;',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'counts no report under a promise of its number with another nonce (I3)' },
  },
  {
    name: 'compares UIDs before epochs',
    file: 'common/position.ts',
    find: 'return compareEpochs(a.epoch, b.epoch) || a.uid - b.uid ||',
    replace: 'return a.uid - b.uid || compareEpochs(a.epoch, b.epoch) ||',
    targeted: {
      file: 'unit/member-votes.test.ts',
      title: 'a candidate with more changes of an older epoch does not lead with them in the place of newer ones (I2)',
    },
  },
  {
    name: 'opens without a majority for its claim',
    file: `${core}/election.ts`,
    find: 'if (reached >= candidate.claimIndex && !refuseBelowMark(m))',
    replace: 'if (reached >= 0 && !refuseBelowMark(m))',
  },
  {
    name: 'claims without votes',
    file: 'sidecar/core/election.ts',
    find: 'isQuorum(m, stage.votes)',
    replace: 'stage.votes.size >= 1',
  },
  {
    name: 'claims twice in one epoch',
    file: `${core}/election.ts`,
    find: '  if (seq === null) {\n    restart(m, candidate);',
    replace: '  if (seq === null) {\n    claim(m, candidate);',
    targeted: { file: 'unit/vote.test.ts', title: 'whose claim comes too late for its place makes none more in that epoch (I3)' },
  },
  {
    name: 'trusts the Lease as a fence',
    file: 'sidecar/core/leadership.ts',
    find: "if (m.config.durability === 'Quorum' || leader",
    replace: "if ((m.config.durability === 'Quorum' && !m.lease.isFresh(m.now.nowMs)) || leader",
  },
  {
    name: 'votes before its promise is durable',
    file: 'sidecar/core/vote.ts',
    find: 'persistHardState(m, () => {\n    if (sameEpoch(m.promise, request.epoch)) answerVote(m, request.from, request.epoch, true);\n  });',
    replace: 'answerVote(m, request.from, request.epoch, true);\n  persistHardState(m);',
    targeted: {
      file: 'unit/member-votes.test.ts',
      title: 'a member that lost power while it wrote its promise has not voted: what it takes after its start is kept (I2)',
    },
  },
  {
    name: 'votes for a less advanced log',
    file: `${core}/vote.ts`,
    find: ' && comparePositions(request.position, m.log.position()) >= 0;',
    replace: ';',
    targeted: {
      file: 'unit/member-votes.test.ts',
      title: 'a candidate that lacks a change which its voter has does not lead without it (I2)',
    },
  },
  {
    name: 'votes twice in one epoch',
    file: `${core}/vote.ts`,
    find: '(repeats || compareEpochs(request.epoch, m.promise) > 0)',
    replace: '(repeats || compareEpochs(request.epoch, m.promise) >= 0)',
    targeted: {
      file: 'unit/vote.test.ts',
      title: 'gives one in an epoch: whoever asked first may ask again, another of that number may not (I3)',
    },
    because:
      'a disk takes one claim of a number, so that only one of them gets its majority; without the rule two candidates claim, and one of them in vain',
  },
  {
    name: 'leads on when a higher epoch is in its log',
    file: `${core}/member.ts`,
    find: "if (m.role.kind === 'leader' && !sameEpoch(m.promise, m.role.epoch)) stepDown(m, 'a higher epoch is in the log');",
    replace: '',
    where: { faults: ['leaseTwice', 'natsCut', 'oneWayCut'] },
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'in whose log a higher epoch comes leads no more (I3)' },
  },
  {
    name: 'answers reads without asking anybody',
    file: 'sidecar/core/reads.ts',
    find: '  role.reads.push({ id, round: null, deadlineMs: m.now.nowMs + coreLimits.submitTimeoutMs });',
    replace: "  m.effects.push({ kind: 'answerRead', id, result: { kind: 'confirmed', uid: m.store.uid } });",
    where: { faults: ['leaseTwice', 'natsCut'] },
  },
  {
    name: 'reads are confirmed by a round that had begun before',
    file: 'sidecar/core/reads.ts',
    find: '  for (const read of leader.reads) read.round ??= leader.round;',
    replace: '  for (const read of leader.reads) read.round ??= leader.round - 1;',
    where: { faults: ['leaseTwice', 'natsCut'] },
    targeted: {
      file: 'unit/member-bad-days.test.ts',
      title: 'are confirmed by answers of this leadership, not by those of an earlier one (I9)',
    },
  },
  {
    name: 'rounds of an older leadership confirm reads',
    file: `${core}/member.ts`,
    find: 'const same = known?.identity === report.identity && sameEpoch(known.promise, report.promise);',
    replace: 'const same = known !== undefined;',
    targeted: {
      file: 'unit/member-bad-days.test.ts',
      title: 'are confirmed by answers of this leadership, not by those of an earlier one (I9)',
    },
  },
  {
    name: 'publishes two frames at once',
    file: 'sidecar/core/leadership.ts',
    find: 'if (leader.publishing !== null || m.reloading) return;',
    replace: 'if (m.reloading) return;',
  },
  {
    name: 'the gate opens at the first word of a leader',
    file: `${core}/member.ts`,
    find: 'if (acknowledged.index === 0 || !keepsUp(m, acknowledged) || m.synced) return;',
    replace: 'if (m.synced) return;',
    targeted: {
      file: 'unit/acknowledgement.test.ts',
      title: 'that starts is not in sync by the word of a leader, but when it has what that has acknowledged (I7)',
    },
  },
];
