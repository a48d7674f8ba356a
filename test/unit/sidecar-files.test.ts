// The files that a sidecar shares with the containers of its pod: failover.csv, which it reads, and its status, which it writes.
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { followFailoverOrder } from '../../sidecar/failover-order.ts';
import { createStatusFile } from '../../sidecar/status-file.ts';
import { eventually } from '../lib/eventually.ts';

const log = pino({ level: 'silent' });
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-files-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

test('failover.csv is read again when it is replaced; what cannot be read leaves the order as it was (K5)', async () => {
  const file = join(directory, 'failover.csv');
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  const line = (pod: string): string => `${pod}.trading-members.default.svc,5000\n`;
  const orders: (readonly string[])[] = [];
  const closing = new AbortController();
  await replace(line('trading-0') + line('trading-1') + line('trading-dr-0'));
  const following = followFailoverOrder({ file, cluster: 'trading', onOrder: (pods) => orders.push(pods), log, signal: closing.signal });
  await eventually(() => {
    expect(orders).toEqual([['trading-0', 'trading-1']]);
  });
  await replace('nonsense');
  await replace(line('trading-1') + line('trading-0') + line('trading-dr-0'));
  await eventually(() => {
    expect(orders.at(-1)).toEqual(['trading-1', 'trading-0']);
  }, 4000);
  expect(orders).toHaveLength(2);
  closing.abort();
  await following;
});

test('the status file always holds one whole status, at the end the last (K13)', async () => {
  const write = createStatusFile(directory, log);
  const read = async (): Promise<unknown> => JSON.parse(await readFile(join(directory, 'status.json'), 'utf8'));
  for (let uid = 1; uid <= 100; uid += 1) write({ role: 'leader', uid });
  await eventually(async () => {
    expect(await read()).toEqual({ role: 'leader', uid: 100 });
  });
  expect(await readdir(directory)).toEqual(['status.json']);
});
