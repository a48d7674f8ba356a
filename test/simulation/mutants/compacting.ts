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
  },
  {
    name: 'puts into a checkpoint what is not acknowledged',
    file: `${core}/checkpointing.ts`,
    find: 'Math.min(m.store.index, position.index)',
    replace: 'position.index',
    targeted: { file: 'unit/acknowledgement.test.ts', title: 'makes a checkpoint of what is acknowledged, though its disk has more (I2)' },
  },
  {
    name: 'puts into a checkpoint what is not durable',
    file: `${core}/checkpointing.ts`,
    find: 'Math.min(m.store.index, position.index)',
    replace: 'm.store.index',
  },
  {
    name: 'forgets idempotency keys in a checkpoint',
    file: `${journal}/checkpoint.ts`,
    find: 'if (!isForgotten(uid, lastUid)) yield',
    replace: 'if (isForgotten(uid, lastUid)) yield',
  },
  {
    name: 'serves a checkpoint whose bytes are not those that were written',
    file: `${journal}/checkpoint-file.ts`,
    find: ' || block.sha256 !== sha256)',
    replace: ')',
  },
  {
    name: 'rewinds and keeps checkpoints beyond the fork',
    file: `${journal}/rewind.ts`,
    find: 'await removeCheckpointsBeyond(disk, checkpointDirectory, header.firstIndex - 1);',
    replace: '',
  },
  {
    name: 'rewinds below where a state can be built from',
    file: `${core}/reader.ts`,
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
  },
  {
    name: 'knows a compacted frame by its index alone',
    file: `${journal}/install.ts`,
    find: ' && sameEpoch(span.epoch, epoch)',
    replace: '',
  },
  {
    name: 'repairs with frames of another log',
    file: `${journal}/repair.ts`,
    find: ' || frames.at(-1)?.hash !== hole.hash)',
    replace: ')',
  },
  {
    name: 'repairs a hole with less than all of it',
    file: `${journal}/repair.ts`,
    find: 'frames.at(-1)?.index !== hole.toIndex || frames.at(-1)?.hash !== hole.hash',
    replace: 'frames.length === 0',
  },
];
