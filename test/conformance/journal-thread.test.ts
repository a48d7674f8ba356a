// Checkpoints made by the real thread on a real disk, as production makes them, and what comes of it when that thread ends badly.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { checkpointInThread } from '../../sidecar/journal/checkpoint-thread.ts';
import { openJournal } from '../../sidecar/journal/journal.ts';
import { sha256 } from '../../sidecar/journal/sha256.ts';
import type { Journal } from '../../sidecar/ports.ts';
import { collect, frameAfter, framesAfter } from '../lib/sample-frames.ts';

const frames = framesAfter(null, 300);
const said: unknown[] = [];
const fatal: unknown[] = [];
const log = { warn: (...what: unknown[]) => void said.push(what), fatal: (...what: unknown[]) => void fatal.push(what) };
let directory = '';
let journal: Journal | null = null;

async function open(checkpointer?: ReturnType<typeof checkpointInThread>): Promise<Journal> {
  const options = { directory, sha256, log, segmentBytes: 20_000, onFatal: (error: unknown) => void fatal.push(error) };
  journal = await openJournal(checkpointer === undefined ? options : { ...options, checkpointer });
  await collect(journal.recovered());
  return journal;
}
const checkpointFiles = (): Promise<string[]> => readdir(join(directory, 'checkpoint'));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'journal-'));
});
afterEach(async () => {
  await journal?.close();
  await rm(directory, { recursive: true });
  for (const list of [said, fatal]) list.length = 0;
});

describe('a checkpoint thread', () => {
  test('makes the state while frames are appended behind it, and never reads those', async () => {
    const opened = await open();
    await opened.write({ frames: frames.slice(0, 200) });
    const made = opened.makeCheckpoint(150);
    for (const frame of frames.slice(200)) await opened.write({ frames: [frame] });
    const head = await made;
    expect(head.position).toMatchObject({ index: 150, hash: frames[149]?.hash });
    await opened.makeCheckpoint(290);
    await opened.close();
    const again = await open();
    expect(again.checkpoint?.position.index).toBe(290);
    expect(await collect(again.checkpointState())).toHaveLength(290);
    expect([said, fatal]).toEqual([[], []]);
  });

  test('that finds a damaged frame refuses, leaves nothing, and ends the process', async () => {
    const opened = await open();
    await opened.write({ frames: frames.slice(0, 20) });
    const [segment = ''] = await readdir(join(directory, 'log'));
    await writeFile(join(directory, 'log', segment), Buffer.alloc(200), { flag: 'r+' });
    await expect(opened.makeCheckpoint(20)).rejects.toMatchObject({ code: 'journal_corrupt' });
    expect(await checkpointFiles()).toEqual([]);
    expect(fatal).toMatchObject([{ code: 'journal_corrupt' }]);
  });

  test('that breaks is logged and refused, leaves nothing, and does not end the process', async () => {
    const worker = join(directory, 'worker.mjs');
    const opened = await open(checkpointInThread(log, pathToFileURL(worker)));
    await opened.write({ frames: [frameAfter(null, [])] });
    const unfinished = join(directory, 'checkpoint', 'any.unfinished');
    for (const ending of ['process.exit(7)', 'throw new Error("broken")']) {
      await writeFile(worker, `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(unfinished)}, 'x'); ${ending};`);
      await expect(opened.makeCheckpoint(1)).rejects.toMatchObject({ code: 'internal_error' });
      expect(await checkpointFiles()).toEqual([]);
    }
    expect(said).toHaveLength(2);
    expect(fatal).toEqual([]);
  });
});
