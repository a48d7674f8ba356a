// Planted bugs in what replaces a log by a state (ADR 11) and in the repair of a damaged one: checkpoints, compaction, snapshots, rewinds, holes.
import type { Mutant } from './mutant.ts';

const core = 'sidecar/core';
const journal = 'sidecar/journal';

export const compactingMutants: readonly Mutant[] = [
  {
    name: 'compacts under the newest checkpoint',
    file: `${journal}/checkpoints.ts`,
    find: 'return older === undefined || this.#files.length < keptCheckpoints ? 0 : indexOf(older);',
    replace: 'return older === undefined ? 0 : indexOf(this.newest);',
    targeted: {
      file: 'unit/journal-snapshot.test.ts',
      title: 'to where no state can be built from is a broken invariant: the process ends, and the log stays',
    },
  },
  {
    name: 'puts into a checkpoint what is not acknowledged',
    file: `${core}/checkpointing.ts`,
    find: 'Math.min(store.index, position.index)',
    replace: 'position.index',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'makes a checkpoint of what is acknowledged, though its disk has more (I2)' },
  },
  {
    name: 'puts into a checkpoint what is not durable',
    file: `${core}/checkpointing.ts`,
    find: 'Math.min(store.index, position.index)',
    replace: 'store.index',
  },
  {
    name: 'forgets idempotency keys in a checkpoint',
    file: `${journal}/checkpoint.ts`,
    find: 'if (!isForgotten(uid, lastUid)) yield',
    replace: 'if (isForgotten(uid, lastUid)) yield',
    targeted: { file: 'unit/journal-checkpoint.test.ts', title: 'forgets an idempotency key after its window, and not before (I8)' },
  },
  {
    name: 'serves a checkpoint whose bytes are not those that were written',
    file: `${journal}/checkpoint-file.ts`,
    find: ' || block.sha256 !== sha256)',
    replace: ')',
    targeted: {
      file: 'unit/journal-snapshot.test.ts',
      title: 'are refused when the disk gives those of another one, as sound, in their place',
    },
  },
  {
    name: 'rewinds and keeps checkpoints beyond the fork',
    file: `${journal}/rewind.ts`,
    find: 'await removeCheckpointsBeyond(disk, checkpointDirectory, header.firstIndex - 1);',
    replace: '',
    targeted: { file: 'unit/journal-checkpoint.test.ts', title: 'does not stop writes, and a rewind waits for it' },
  },
  {
    name: 'rewinds below where a state can be built from',
    file: `${core}/set-aside.ts`,
    find: '(m.log.baseIndex === 0 ? 0 : Math.max(m.log.baseIndex, m.checkpoint.index))',
    replace: '(m.log.baseIndex * 0)',
    targeted: {
      file: 'unit/member-snapshots.test.ts',
      title: 'archives its own changes when a forced start parted the logs below what it has compacted (I5)',
    },
  },
  {
    name: 'installs a snapshot before the old checkpoints are gone',
    file: `${journal}/install.ts`,
    find: 'they would look like older ones of the same log.\n  await disk.syncDirectory(checkpointDirectory);\n',
    replace: '\n',
    targeted: {
      file: 'conformance/journal-power-loss.test.ts',
      title: 'power lost anywhere in a life of checkpoints, snapshots and copies leaves what was answered (I2, I5)',
    },
  },
  {
    name: 'installs a snapshot before its intent is durable',
    file: `${journal}/install.ts`,
    find: 'throw noRoom(error);\n  }\n  await disk.syncDirectory(checkpointDirectory);\n',
    replace: 'throw noRoom(error);\n  }\n',
  },
  {
    name: 'installs a snapshot without an archive',
    file: `${journal}/install.ts`,
    find: 'if (!holds(head, frame)) return',
    replace: 'if (frame.index < 0) return',
    targeted: {
      file: 'unit/journal-snapshot.test.ts',
      title: 'leaves the state of a log in the archive that parted in what it had compacted (I5)',
    },
  },
  {
    name: 'knows a compacted frame by its index alone',
    file: `${journal}/install.ts`,
    find: ' && sameEpoch(span.epoch, epoch)',
    replace: '',
    targeted: {
      file: 'unit/journal-snapshot.test.ts',
      title: 'leaves the state of a log in the archive that parted in what it had compacted (I5)',
    },
  },
  {
    name: 'repairs with frames of another log',
    file: `${journal}/repair.ts`,
    find: ' || frames.at(-1)?.hash !== hole.hash)',
    replace: ')',
    targeted: { file: 'unit/journal-repair.test.ts', title: 'takes the frames that belong there, and no others' },
  },
  {
    name: 'repairs a hole with less than all of it',
    file: `${journal}/repair.ts`,
    find: 'frames.at(-1)?.index !== hole.toIndex || frames.at(-1)?.hash !== hole.hash',
    replace: 'frames.length === 0',
    targeted: { file: 'unit/journal-repair.test.ts', title: 'takes the frames that belong there, and no others' },
  },
  {
    name: 'gives a damaged checkpoint to others',
    file: 'sidecar/journal/checkpoints.ts',
    find: 'if (offset + bytes.length >= file.bytes) await this.#verify(file);',
    replace: 'if (offset + bytes.length < 0) await this.#verify(file);',
    targeted: {
      file: 'unit/snapshot-exchange.test.ts',
      title: 'that the disk has damaged is stored for nobody, so that no purge rests on it, and ends the process (I2)',
    },
  },
  {
    name: 'gives itself up for damage that its checkpoint holds',
    file: 'sidecar/repair.ts',
    find: 'if (journal.damage.some(({ toIndex }) => toIndex > index)) return false;',
    replace: 'if (journal.damage.some(({ toIndex }) => toIndex >= 0)) return false;',
    targeted: {
      file: 'unit/repair-by-snapshot.test.ts',
      title: 'are given up for it, after some tries: the state and all behind it stay, and the disk is the same (I2)',
    },
  },
  {
    name: 'never begins anew after a forced start',
    file: 'sidecar/core/member.ts',
    find: 'beginAnewWhenGivenUp(m);',
    replace: 'if (m.log.length < 0) beginAnewWhenGivenUp(m);',
    targeted: {
      file: 'unit/member-snapshots.test.ts',
      title:
        'archives its log and takes over that of a forced member whose volume is empty: it is whole, and there is no snapshot of it (K10, I5)',
    },
  },
  {
    name: 'takes nothing from before its promise, of the leader either',
    file: 'sidecar/core/reader.ts',
    find: '(isFollowed(m, peer) || mayFollow(m, frame))',
    replace: '((isFollowed(m, peer) && mayFollow(m, frame)) || mayFollow(m, frame))',
    targeted: {
      file: 'unit/reading.test.ts',
      title: 'that lacks more than it can hold takes frames of before its promise one by one from the leader: true',
    },
  },
];
