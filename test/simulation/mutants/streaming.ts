// Planted bugs in how a frame gets into the stream and out of it again: publishing, consumers, sequences that are used again.
import type { Mutant } from './mutant.ts';

const publisher = 'sidecar/stream/publisher.ts';
const consumer = 'sidecar/stream/consumer.ts';
const reader = 'sidecar/stream/reader.ts';
const faults = 'conformance/stream-faults.test.ts';
const gaps = 'conformance/stream-gaps.test.ts';

export const streamingMutants: readonly Mutant[] = [
  {
    name: 'takes an acknowledgement for another sequence',
    file: publisher,
    find: 'if (answer.seq === attempt.expectedSeq + 1) return answer;',
    replace: 'return answer;',
    targeted: { file: faults, title: 'an acknowledgement for another sequence than the expected one proves nothing' },
  },
  {
    name: 'takes the frame of another at its place for its own',
    file: publisher,
    find: 'if (found !== null && Buffer.compare(found.bytes, bytes) === 0) return',
    replace: 'if (found !== null) return',
    targeted: { file: faults, title: 'another frame that took its place is a conflict, whichever answer is lost (I3)' },
  },
  {
    name: 'takes a place that is not taken yet for lost',
    file: publisher,
    find: 'return open ? null : {',
    replace: 'return {',
    targeted: { file: faults, title: 'when nobody leads while the attempt before is under way: stored once (I3, I8)' },
  },
  {
    name: 'begins a frame while another is under way',
    file: publisher,
    find: "if (this.#attempt?.controller.signal.aborted === false) throw new Error('a message is under way already');",
    replace: '',
    targeted: { file: faults, title: 'a second one is refused until the outcome of the first is known (I3)' },
  },
  {
    name: 'waits for a consumer that brings nothing',
    file: consumer,
    find: 'if (silent || this.#connection.closed)',
    replace: 'if (this.#connection.closed)',
    targeted: { file: faults, title: 'when it stalls without a word, within two seconds, and nothing is read again' },
  },
  {
    name: 'does not see that a delivery was lost',
    file: consumer,
    find: "if (sign.consumerSeq !== this.#consumerSeq + 1) return this.#end('lost');",
    replace: '',
    targeted: { file: faults, title: 'when its own sequence tells a fault (deliveryLost): each frame once and in order' },
  },
  {
    name: 'passes over a purge without a word',
    file: reader,
    find: 'if (seq !== place.seq + 1) {',
    replace: 'if (seq <= place.seq) {',
    targeted: { file: gaps, title: 'a purge beyond a reader that waits for room is told, and no message is skipped without it' },
  },
  {
    name: 'trusts a sequence that may have been used again',
    file: reader,
    find: 'if (seq === place.seq && place.is?.(message) === true) return;',
    replace: 'if (seq === place.seq) return;',
    targeted: { file: gaps, title: 'another message at the place is found before what follows it is read (I2)' },
  },
  {
    name: 'does not look at its place while nothing comes',
    file: consumer,
    find: 'if (code === 408 && this.#left === pullMessages) this.#handler.idle();',
    replace: '',
    targeted: { file: gaps, title: 'sequences that are used again below a consumer that lives on are found while nothing comes' },
  },
];
