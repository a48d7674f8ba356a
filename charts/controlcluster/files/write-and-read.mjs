// `helm test`: writes through one member of a live cluster and reads the value back through another. Waits for the cluster to start; fails
// when it has not within the time. A write carries an idempotency key, so that a repetition is not a second change.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const deadlineMs = Date.now() + 240_000;
const requestTimeoutMs = 5_000;
const { LEADER, FOLLOWERS, MEMBERS } = process.env;
const authorization = `Bearer ${readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8')}`;

/** The answer to the first attempt that succeeds. Answers that a repetition cannot better end the test. */
async function call(method, url, body) {
  for (;;) {
    let problem;
    try {
      const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
      const response = await fetch(url, { method, headers, body, signal: AbortSignal.timeout(requestTimeoutMs) });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      problem = `${response.status} ${text}`;
      if (response.status < 500) throw new Error(`${method} ${url}: ${problem}`);
    } catch (error) {
      // `fetch` fails with a TypeError, a time-out with a DOMException: nobody listens yet.
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      problem = String(error.cause ?? error);
    }
    if (Date.now() > deadlineMs) throw new Error(`${method} ${url}: ${problem}`);
    console.log(`waiting: ${problem}`);
    await delay(1_000);
  }
}

const value = { written: new Date().toISOString() };
const writer = Number(MEMBERS) > 1 ? FOLLOWERS : LEADER;
const change = { operations: [{ put: { key: 'helm-test', value } }], idempotencyKey: randomUUID() };
const receipt = await call('POST', `${writer}/v1/changes`, JSON.stringify(change));
console.log(`written through ${writer}, change ${receipt.uid}`);
const read = await call('GET', `${LEADER}/v1/state/helm-test?consistency=linearizable`);
if (JSON.stringify(read.value) !== JSON.stringify(value)) throw new Error(`read ${JSON.stringify(read)}, but ${JSON.stringify(value)} was written`);
console.log(`read through ${LEADER}: the value written`);
