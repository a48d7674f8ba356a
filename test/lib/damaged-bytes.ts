// Bytes near a valid input: with bits turned, pieces cut, doubled or put in, numbers blown up; or no relation to it at all.
import fc from 'fast-check';

const numbers = ['-1', '0', '1.5', '1e999', '9007199254740993', '4294967295', '"7"', 'null', '[]', '{}', '{"__proto__":1}'];

type Fault = (bytes: Uint8Array) => Uint8Array;
const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

const place = fc.nat();
const flipped: fc.Arbitrary<Fault> = fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(([nth, mask]) => (bytes) => {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0) copy[nth % copy.length] = (copy[nth % copy.length] ?? 0) ^ mask;
  return copy;
});
const cut: fc.Arbitrary<Fault> = fc.tuple(place, fc.nat({ max: 20 })).map(([nth, length]) => (bytes) => {
  const at = nth % (bytes.length + 1);
  return join(bytes.subarray(0, at), bytes.subarray(at + length));
});
const doubled: fc.Arbitrary<Fault> = fc.tuple(place, fc.nat({ max: 40 })).map(([nth, length]) => (bytes) => {
  const at = nth % (bytes.length + 1);
  return join(bytes.subarray(0, at + length), bytes.subarray(at));
});
const inserted: fc.Arbitrary<Fault> = fc.tuple(place, fc.uint8Array({ maxLength: 8 })).map(([nth, piece]) => (bytes) => {
  const at = nth % (bytes.length + 1);
  return join(bytes.subarray(0, at), piece, bytes.subarray(at));
});
/** Another JSON value for one number or text of the input. */
const replaced: fc.Arbitrary<Fault> = fc.tuple(place, fc.constantFrom(...numbers)).map(([nth, value]) => (bytes) => {
  const source = Buffer.from(bytes).toString('latin1');
  const tokens = [...source.matchAll(/\d+|"[^"]*"|true|false|null/g)];
  const token = tokens[nth % Math.max(tokens.length, 1)];
  if (token === undefined) return bytes;
  return Buffer.from(source.slice(0, token.index) + value + source.slice(token.index + token[0].length), 'latin1');
});

/** `valid` with one to four faults, or bytes that have nothing to do with it. */
export const damaged = (valid: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .array(fc.oneof(flipped, cut, doubled, inserted, replaced), { minLength: 1, maxLength: 4 })
        .map((faults) => faults.reduce((bytes, fault) => fault(bytes), valid)),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 1, arbitrary: fc.json().map((value) => new Uint8Array(Buffer.from(value))) },
    { weight: 1, arbitrary: fc.constantFrom('[', '{"a":', '"').map((piece) => new Uint8Array(Buffer.from(piece.repeat(20_000)))) },
  );
