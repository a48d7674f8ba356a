// Planted bugs in what is kept and followed: the log, the stream, the state, the disk.
import type { Mutant } from './mutant.ts';

const core = 'sidecar/core';
const journal = 'sidecar/journal';

export const keepingMutants: readonly Mutant[] = [
  {
    name: 'follows frames of any epoch',
    file: `${core}/reader.ts`,
    find: '!isBelowPromise(m, frame) && compareEpochs(frame.epoch, m.log.lastEpoch) >= 0;',
    replace: 'frame.index > 0;',
    targeted: { file: 'unit/reading.test.ts', title: 'takes no frame of an epoch below its promise, though it continues its log (I3)' },
    because:
      'a leader that hears of the higher promise stops, and counts no report under it; only with both of these rules gone too an acknowledged change is lost',
  },
  {
    name: 'follows frames below its promise',
    file: `${core}/reader.ts`,
    find: '!isBelowPromise(m, frame) && compareEpochs(frame.epoch',
    replace: 'compareEpochs(frame.epoch',
    targeted: { file: 'unit/reading.test.ts', title: 'takes no frame of an epoch below its promise, though it continues its log (I3)' },
    because:
      'a leader that hears of the higher promise stops, and counts no report under it; only with both of these rules gone too an acknowledged change is lost',
  },
  {
    name: 'follows two claims of one number in turn',
    file: `${core}/reader.ts`,
    find: 'return !sameEpoch(frame.epoch, m.promise) && compareEpochs(m.log.lastEpoch, frame.epoch) === 0;',
    replace: 'return false;',
    targeted: {
      file: 'unit/reading.test.ts',
      title: 'stays with the claim that it took when another of its number has more after it (I2)',
    },
  },
  {
    name: 'takes over logs that are not more advanced',
    file: `${core}/reader.ts`,
    find: 'if (chain.frames.length === 0 || !isMoreAdvanced(target, m.log.position())) return;',
    replace: 'if (chain.frames.length === 0) return;',
    targeted: {
      file: 'unit/reading.test.ts',
      title: 'gives up what it sought when its log has become the more advanced meanwhile (I2, I5)',
    },
  },
  {
    name: 'applies what a majority may not have',
    file: 'sidecar/core/reader.ts',
    find: 'acknowledge(m, last?.acknowledgedIndex ?? 0);',
    replace: 'acknowledge(m, last?.index ?? 0);',
  },
  {
    name: 'believes an acknowledged index without its hash',
    file: 'sidecar/core/member.ts',
    find: 'if (m.log.holds(acknowledged)) acknowledge(m, acknowledged.index);',
    replace: 'acknowledge(m, acknowledged.index);',
    targeted: {
      file: 'unit/acknowledgement.test.ts',
      title: 'takes as acknowledged what its log holds, not what only has the same index there (I2)',
    },
  },
  {
    name: 'does not fill the stream',
    file: `${core}/filling.ts`,
    find: 'const first = m.log.firstNotStored(index);',
    replace: 'const first = 0 * index;',
  },
  {
    name: 'remembers what a lost stream had',
    file: `${core}/reader.ts`,
    find: '  m.reader.seq = 0;\n  m.log.forgetStored();\n',
    replace: '  m.reader.seq = 0;\n',
  },
  {
    name: 'claims on a sequence that a lost stream had',
    file: `${core}/election.ts`,
    find: 'if (seq < m.reader.seq) {',
    replace: 'if (seq < 0) {',
  },
  {
    name: 'forgets idempotency keys of what is applied',
    file: 'sidecar/core/store.ts',
    find: 'changes === undefined ? this.#store.receipt(key) : changes.receipts.get(key)',
    replace: 'changes?.receipts.get(key)',
  },
  {
    name: 'a new leader forgets idempotency keys that are not applied yet',
    file: 'sidecar/core/store.ts',
    find: 'const changes = this.#newestWith(({ receipts }) => receipts.has(key));',
    replace: 'const changes = this.#making.receipts.has(key) ? this.#making : undefined;',
  },
  {
    name: 'judges preconditions against what is acknowledged only',
    file: 'sidecar/core/store.ts',
    find: 'return (changes === undefined ? this.#store.get(key) : changes.writes.get(key)) ?? null;',
    replace: 'return this.#store.get(key) ?? null;',
  },
  {
    name: 'rewinds without an archive',
    file: 'sidecar/journal/journal.ts',
    find: ' : this.#archives.tail(frames, index + 1));',
    replace: ' : null);',
  },
  {
    name: 'acknowledges before the sync',
    file: 'sidecar/journal/segment-writer.ts',
    find: '      throw why;\n    }\n    await file.datasync();\n',
    replace: '      throw why;\n    }\n',
  },
  {
    name: 'trusts what an earlier process did not sync',
    file: 'sidecar/journal/frame-log.ts',
    find: "if (last !== undefined) await withFile(disk, last.path, 'write', (file) => file.datasync());",
    replace: '',
    targeted: {
      file: 'conformance/journal-power-loss.test.ts',
      title:
        'power lost anywhere in a life of writes, one at a time after a process was killed there: what the next one found is built on, so it is durable (I2)',
    },
  },
  {
    name: 'trusts names that an earlier process did not sync',
    file: 'sidecar/journal/journal.ts',
    find: 'for (const each of [...within, directory, dirname(directory)]) await disk.syncDirectory(each);',
    replace: 'for (const each of [directory, dirname(directory)]) await disk.syncDirectory(each);',
    targeted: {
      file: 'conformance/journal-power-loss.test.ts',
      title:
        'power lost anywhere in a life of checkpoints, snapshots and copies after a process was killed there: what the next one found is built on, so it is durable (I2)',
    },
  },
  {
    name: 'replaces files without syncing the directory',
    file: `${journal}/disk.ts`,
    find: '  await disk.syncDirectory(directory);\n}',
    replace: '}',
  },
  {
    name: 'replaces files without syncing their content',
    file: `${journal}/disk.ts`,
    find: '      // Even a sync may say that the disk is full here: nobody relies on this file yet, and it is thrown away.\n      await file.datasync();\n',
    replace: '',
  },
  {
    name: 'keeps half a batch on a full disk',
    file: 'sidecar/journal/frame-log.ts',
    find: 'await this.#writer.append(segment, bytes);',
    replace: `await this.#writer.append(segment, bytes).catch((error: unknown) => {
      this.#note(segment, frames.slice(0, 1), checksums);
      throw error;
    });`,
  },
  {
    name: 'renames the rewind before the old segments are gone',
    file: `${journal}/rewind.ts`,
    find: '  // Old segments must be gone before the new one has its name: both would look like one log.\n  await disk.syncDirectory(directory);\n',
    replace: '',
    targeted: {
      file: 'conformance/journal-power-loss.test.ts',
      title: 'power lost anywhere in a life of writes, one at a time leaves what was answered (I2, I5)',
    },
  },
  {
    name: 'takes a damaged record for a whole one',
    file: `${journal}/record.ts`,
    find: 'if (checksum !== buffer.readUInt32BE(at + 4))',
    replace: 'if (checksum < 0)',
  },
];
