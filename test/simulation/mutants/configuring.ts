// Planted bugs in who counts (ADR 10): disks, configurations in the log, recovery, forced starts, the high-water mark.
import type { Mutant } from './mutant.ts';

const core = 'sidecar/core';

export const configuringMutants: readonly Mutant[] = [
  {
    name: 'counts a replaced disk under its old name',
    file: `${core}/quorum.ts`,
    find: 'one.pod === pod && one.incarnation === incarnation',
    replace: 'one.pod === pod',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'counts no disk that is not in the configuration, though its pod is (I2)' },
  },
  {
    name: 'counts the vote of a replaced disk',
    file: `${core}/quorum.ts`,
    find: 'present.get(pod) === incarnation',
    replace: 'present.has(pod)',
    targeted: {
      file: 'unit/vote.test.ts',
      title: 'claims with the vote of a disk that counts, and not with that of another disk in its place (I2)',
    },
  },
  {
    name: 'counts by the newest configuration only',
    file: `${core}/quorum.ts`,
    find: 'configurations.findLastIndex(({ index, replaces }) => replaces || index <= acknowledgedIndex)',
    replace: 'acknowledgedIndex * 0 + configurations.length - 1',
    targeted: {
      file: 'unit/acknowledgement.test.ts',
      title: 'counts by the configuration before too, until the new one is acknowledged (I2)',
    },
  },
  {
    name: 'counts by the acknowledged configuration only',
    file: `${core}/quorum.ts`,
    find: 'configurations.slice(from).map',
    replace: 'configurations.slice(from, from + 1).map',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'counts by the new configuration from its frame on (I2)' },
  },
  {
    name: 'a forced claim does not replace what counted before',
    file: `${core}/quorum.ts`,
    find: 'replaces || index <= acknowledgedIndex',
    replace: 'index <= acknowledgedIndex',
  },
  {
    name: 'changes who counts twice at once',
    file: `${core}/reconfiguration.ts`,
    find: 'current.index > m.acknowledgedIndex || ',
    replace: '',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'takes one in at a time: the next when the one before is acknowledged (I2)' },
  },
  {
    name: 'admits a disk that has not caught up',
    file: `${core}/reconfiguration.ts`,
    find: 'm.log.holds(position) && m.log.length - position.index <= coreLimits.voterLagFrames',
    replace: 'true',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'does not take it in before it has caught up (I2)' },
  },
  {
    name: 'admits a disk that has not promised',
    file: `${core}/reconfiguration.ts`,
    find: 'sameEpoch(promise, leader.epoch) && near',
    replace: 'near',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'does not take it in before it has promised its epoch (I2)' },
  },
  {
    name: 'does not compare the session of its disk',
    file: `${core}/own-disk.ts`,
    find: 'record.session === disk.session || record.session === disk.recordedSession',
    replace: 'true',
    targeted: { file: 'unit/member-disks.test.ts', title: 'is another when another session was recorded (I2)' },
  },
  {
    name: 'does not compare the position of its disk',
    file: `${core}/own-disk.ts`,
    find: 'comparePositions(position, record.position) >= 0 && ',
    replace: '',
    targeted: { file: 'unit/member-disks.test.ts', title: 'is another when it ends before the recorded position (I2)' },
  },
  {
    name: 'does not compare the promise of its disk',
    file: `${core}/own-disk.ts`,
    find: ' && compareEpochs(disk.promise, record.promise) >= 0',
    replace: '',
    targeted: { file: 'unit/member-disks.test.ts', title: 'is another when its promise is below the recorded one (I2)' },
  },
  {
    name: 'votes with a disk that nobody knows yet',
    file: `${core}/vote.ts`,
    find: " || m.disk !== 'registered') return;",
    replace: ') return;',
    targeted: {
      file: 'unit/vote.test.ts',
      title: 'gives none before the API server has confirmed its session: its disk may be another (I2)',
    },
  },
  {
    name: 'counts before its session is recorded',
    file: `${core}/own-disk.ts`,
    find: "m.disk = 'registering';",
    replace: "m.disk = 'registered';",
    targeted: {
      file: 'unit/vote.test.ts',
      title: 'gives none before the API server has confirmed its session: its disk may be another (I2)',
    },
  },
  {
    name: 'does not promise a raised generation',
    file: `${core}/generation.ts`,
    find: "m.promise = { generation: round.generation, number: 0, nonce: '' };",
    replace: '',
  },
  {
    name: 'recovers before all have promised',
    file: `${core}/election.ts`,
    find: "if (unvoted?.claim === 'recovery' && !isPromisedByAll(m, unvoted)) return;",
    replace: '',
    targeted: {
      file: 'unit/candidacy.test.ts',
      title: 'that recovers a cluster promises when all others have, whose logs can grow no more then (I2)',
    },
  },
  {
    name: 'claims the number 0 more than once',
    file: `${core}/eligibility.ts`,
    find: 'return untried && m.log',
    replace: 'return m.log',
    targeted: { file: 'unit/candidacy.test.ts', title: 'that is to lead without votes claims the number 0 once (I3)' },
  },
  {
    name: 'takes over another log when it is forced to lead',
    file: `${core}/election.ts`,
    find: "if (unvoted?.claim !== 'forced') takeOverBest(m);",
    replace: 'takeOverBest(m);',
    targeted: { file: 'unit/candidacy.test.ts', title: 'that is to lead with its own log takes over no other, however advanced (K10)' },
  },
  {
    name: 'stands for election without a claim of the generation',
    file: `${core}/eligibility.ts`,
    find: ' && isVoter(m) && isOfGeneration(m)',
    replace: ' && isVoter(m)',
    targeted: {
      file: 'unit/candidacy.test.ts',
      title: 'leaves the Lease alone while nobody has claimed the generation that it promised (I3)',
    },
  },
  {
    name: 'stands for election with a disk that does not count',
    file: `${core}/eligibility.ts`,
    find: ' && isVoter(m) && isOfGeneration(m)',
    replace: ' && isOfGeneration(m)',
    targeted: { file: 'unit/candidacy.test.ts', title: 'leaves the Lease alone when its disk is not in the configuration (I2)' },
  },
  {
    name: 'knows the high-water mark by its UID alone',
    file: `${core}/high-water-mark.ts`,
    find: 'm.log.holds(mark)',
    replace: 'm.log.position().uid >= mark.uid',
    targeted: {
      file: 'unit/candidacy.test.ts',
      title: 'asks for no votes with a log that has another change in the place of the high-water mark (I6)',
    },
  },
  {
    name: 'opens below the high-water mark',
    file: `${core}/election.ts`,
    find: 'const refusal = belowMark(m);',
    replace: 'const refusal = null;',
    targeted: { file: 'unit/member.test.ts', title: 'a log without the high-water mark does not open (I6)' },
  },
  {
    name: 'skips the claim',
    file: `${core}/election.ts`,
    find: 'isQuorum(m, stage.votes)) claim(m, role);',
    replace: 'isQuorum(m, stage.votes)) open(m, role);',
  },
  {
    name: 'takes members out before others have come in',
    file: `${core}/reconfiguration.ts`,
    find: 'return voters.length > m.order.length ? without : null;',
    replace: 'return without;',
    targeted: {
      file: 'unit/member-configuration.test.ts',
      title: 'of 3 never goes below the size that is wanted, nor to nobody, while those are not there that are named',
    },
  },
  {
    name: 'takes a step that no majority can acknowledge',
    file: `${core}/reconfiguration.ts`,
    find: 'return isMajorityInReach(m, leader, next) ? next : null;',
    replace: 'return isMajorityInReach(m, leader, next) ? next : next;',
    targeted: {
      file: 'unit/member-configuration.test.ts',
      title: 'keeps a member that is to go until the one that is to stay has come',
    },
  },
  {
    name: 'repeats a configuration for ever',
    file: `${core}/reconfiguration.ts`,
    find: 'return !sameVoters(before.voters, current.voters);',
    replace: 'return !sameVoters(before.voters, current.voters) || true;',
    targeted: {
      file: 'unit/member-configuration.test.ts',
      title: 'is written twice, so that the log alone tells it, and then nothing more while nobody writes',
    },
  },
  {
    name: 'does not hear who holds the Lease',
    file: `${core}/quorum.ts`,
    find: `podOfIdentity(record?.holder ?? '')`,
    replace: `podOfIdentity(record === null ? 'nobody' : '')`,
    targeted: {
      file: 'unit/member-disks.test.ts',
      title: 'that knew of nobody else follows those that came later and are to go again, when one of them leads',
    },
  },
];
