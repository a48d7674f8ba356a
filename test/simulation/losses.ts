// What was taken from the copies of a frame: which disks were replaced since it was made or have damaged it, whether the stream lost anything, and whether a person gave it up.
// I2 promises a frame as long as a majority of the disks that count for it survive, or the stream does.
import type { Frame } from '../../sidecar/core/frame.ts';
import type { FrameBook } from './frame-book.ts';

export class Losses {
  readonly #book: FrameBook;
  /** By pod: frames made before this number were on a disk that is gone. */
  readonly #disks = new Map<string, number>();
  #stream = 0;
  /** Frames of a lower generation were given up by a forced start (K10). */
  forcedGeneration = 0;

  readonly #isDamaged: (pod: string, hash: string) => boolean;

  /** `isDamaged`: a flipped bit took this frame from this disk, or may. */
  constructor(book: FrameBook, isDamaged: (pod: string, hash: string) => boolean) {
    this.#book = book;
    this.#isDamaged = isDamaged;
  }

  diskLost(pod: string): void {
    this.#disks.set(pod, this.#book.size);
  }

  streamLost(): void {
    this.#stream = this.#book.size;
  }

  forced(generation: number): void {
    this.forcedGeneration = Math.max(this.forcedGeneration, generation);
  }

  /** Nothing promises this frame any more. */
  excuse(frame: Frame): boolean {
    if (frame.epoch.generation < this.forcedGeneration) return true;
    const number = this.#book.numberOf(frame);
    if (number >= this.#stream) return false;
    const voters = this.#book.votersAt(frame.hash);
    const survivors = voters.filter((pod) => number >= (this.#disks.get(pod) ?? 0) && !this.#isDamaged(pod, frame.hash));
    return 2 * survivors.length <= voters.length;
  }
}
