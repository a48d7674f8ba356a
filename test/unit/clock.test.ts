// The randomness of the machine in the form that the core takes.
import { expect, test } from '@jest/globals';
import { systemClock } from '../../sidecar/clock.ts';

test('nonces are 16 hex digits, and each is another, however many are drawn', () => {
  const count = 2000;
  const nonces = Array.from({ length: count }, () => systemClock.nonce());
  expect(new Set(nonces).size).toBe(count);
  expect(nonces.filter((nonce) => !/^[0-9a-f]{16}$/.test(nonce))).toEqual([]);
});
