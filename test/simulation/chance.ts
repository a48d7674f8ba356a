// The one source of chance of a simulation: sfc32 (Chris Doty-Humphrey's small fast counting generator), seeded by a number.
// The same seed gives the same numbers on every machine. It is no source of secrets.
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
const twoDigits = Array.from({ length: 0x100 }, (_, value) => hex(value, 2));

export class Chance {
  #a: number;
  #b: number;
  #c = 0x9e3779b9;
  #counter = 1;
  #nonces = 0;
  #nonceDraw = 0;
  #nonceStart = '';

  /** `seed` is a whole number from 0 to 2^53 - 1. */
  constructor(seed: number) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    const warmUpDraws = 15;
    for (let draw = 0; draw < warmUpDraws; draw += 1) this.u32();
  }

  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    return result >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    return this.u32() / 2 ** 32;
  }

  /** A whole number in [0, count). */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  between(min: number, max: number): number {
    return min + this.unit() * (max - min);
  }

  happens(probability: number): boolean {
    return this.unit() < probability;
  }

  /** Throws on an empty list. */
  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)];
    if (found === undefined) throw new RangeError('nothing to pick from');
    return found;
  }

  /** Each element with the given probability, in order. */
  some<T>(from: readonly T[], probability: number): T[] {
    return from.filter(() => this.happens(probability));
  }

  /** 16 hex digits, in no order, never the same again. The programs ask for one with every input that they get: one draw serves 256 of them. */
  nonce(): string {
    const at = this.#nonces & 0xff;
    if (at === 0) {
      this.#nonceDraw = this.u32();
      this.#nonceStart = hex(this.#nonceDraw, 8) + hex(this.#nonces >>> 8, 6);
    }
    this.#nonces += 1;
    return this.#nonceStart + (twoDigits[at ^ (this.#nonceDraw & 0xff)] ?? '');
  }
}
