// What a run leaves behind: a rolling hash over all events, by which two runs are compared, and on demand a readable timeline.
// The hash covers kind, place, time and order of each event, and whatever else is mixed in; it is no cryptographic hash.
export class Trace {
  #low = 0x811c9dc5;
  #high = 0x01000193;
  readonly #codes = new Map<string, number>();
  readonly #write: ((line: string) => void) | null;

  /** `write` gets the timeline; `null` costs nothing. */
  constructor(write: ((line: string) => void) | null = null) {
    this.#write = write;
  }

  get isShown(): boolean {
    return this.#write !== null;
  }

  mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x5bd1e995);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ this.#low, 0x27d4eb2d);
    this.#high ^= this.#high >>> 13;
  }

  mixText(text: string): void {
    let code = this.#codes.get(text);
    if (code === undefined) {
      code = 0x811c9dc5;
      for (let at = 0; at < text.length; at += 1) code = Math.imul(code ^ text.charCodeAt(at), 0x01000193);
      this.#codes.set(text, code);
    }
    this.mix(code);
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }

  say(atMs: number, who: string, what: string): void {
    this.#write?.(`${(atMs / 1000).toFixed(4).padStart(9)} ${who.padEnd(12)} ${what}`);
  }
}
