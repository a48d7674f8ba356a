// A follower forwards to the leader; what comes back is input from outside, from another version perhaps.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { systemClock } from '../../sidecar/clock.ts';
import { LocalProcess } from '../../sidecar/control-process.ts';
import { MemoryCluster } from '../lib/memory-cluster.ts';

let cluster: MemoryCluster;
beforeAll(async () => {
  cluster = await MemoryCluster.running(2);
});
afterAll(() => cluster.stop());

/** The process of a follower whose leader answers everything with these bytes. */
function followerTold(answer: string): LocalProcess {
  const { runtime, journal } = cluster.sidecar('m-1');
  return new LocalProcess({
    runtime,
    journal,
    peers: {
      send: () => undefined,
      onMessage: () => undefined,
      request: () => Promise.resolve(Buffer.from(answer)),
      onRequest: () => undefined,
    },
    clock: systemClock,
    log: pino({ level: 'silent' }),
  });
}

const change = { operations: [{ put: { key: 'k', value: 1 } }] };

describe.each([
  ['nothing', ''],
  ['null', 'null'],
  ['another kind', '{"kind":"other"}'],
  ['no UID', '{"kind":"committed"}'],
  ['a UID that is no number', '{"kind":"committed","uid":"7","epoch":1,"duplicate":false}'],
  ['a code that is not known', '{"kind":"refused","code":"made_up","detail":"x"}'],
])('a leader whose answer is %s', (_, answer) => {
  test('leaves the outcome of a change unknown', async () => {
    await expect(followerTold(answer).submit(change)).rejects.toMatchObject({ code: 'outcome_unknown' });
  });

  test('confirms no read (I9)', async () => {
    await expect(followerTold(answer).waitFor({ kind: 'linearizable' })).rejects.toMatchObject({ code: 'no_leader' });
  });
});

test('an answer in its form is taken as it is', async () => {
  const receipt = { uid: 7, epoch: 1, duplicate: true };
  expect(await followerTold(JSON.stringify({ kind: 'committed', ...receipt })).submit(change)).toEqual(receipt);
  await expect(followerTold('{"kind":"refused","code":"conflict","detail":"so"}').submit(change)).rejects.toMatchObject({
    code: 'conflict',
  });
  expect(await followerTold('{"kind":"confirmed","uid":0}').waitFor({ kind: 'linearizable' })).toEqual({ uid: 0 });
});
