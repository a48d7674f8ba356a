// /v1/archives: what is listed, and the replay of a tail, line by line.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import type { Change } from '../../sidecar/core/frame.ts';
import { eventually } from '../lib/eventually.ts';
import { ProcessApi, put } from '../lib/process-api.ts';

let api: ProcessApi;
beforeEach(async () => {
  api = await ProcessApi.start();
});
afterEach(() => api.close());

const change = (key: string, value: unknown, more: Partial<Change> = {}): Change =>
  ({ operations: [put(key, value)], idempotencyKey: `key-${key}`, ...more }) as Change;
const path = '/v1/archives/diverged-3-5-7/replay';
const replay = () => api.call(path, { method: 'POST' });
const linesOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));

/** A tail of changes with the UIDs from 5 on. */
function archive(...changes: Change[]): void {
  api.process.archivedTails.set(
    'diverged-3-5-7',
    changes.map((each, at) => ({ uid: 5 + at, change: each })),
  );
}

test('archives are listed', async () => {
  const tail = { kind: 'diverged' as const, id: 'diverged-3-5-7', firstUid: 5, lastUid: 7, changes: 3, sha256: 'f'.repeat(64) };
  const state = { kind: 'state' as const, id: 'state-1', timeMs: 1, uid: 4, sha256: 'f'.repeat(64) };
  api.process.archived.push(tail, state);
  expect((await api.call('/v1/archives')).json).toEqual({ archives: [tail, state] });
});

describe('a replay', () => {
  test('submits the changes of a tail in order, as new changes, and says how each fared', async () => {
    archive(change('a', 1), change('b', 2), change('c', 3));
    const answer = await replay();
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-ndjson' } });
    expect(linesOf(answer.text)).toEqual([
      { kind: 'submitted', archivedUid: 5, uid: 1, epoch: 3, duplicate: false },
      { kind: 'submitted', archivedUid: 6, uid: 2, epoch: 3, duplicate: false },
      { kind: 'submitted', archivedUid: 7, uid: 3, epoch: 3, duplicate: false },
      { kind: 'done', submitted: 3, duplicates: 0, refused: 0 },
    ]);
    expect(api.process.submitted.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['key-a', 'key-b', 'key-c']);
  });

  test('judges preconditions anew, one by one: what is refused does not keep the others back', async () => {
    await api.send('PUT', '/v1/state/lock', 'theirs');
    archive(change('lock', 'mine', { preconditions: [{ key: 'lock', exists: false }] }), change('b', 2));
    expect(linesOf((await replay()).text)).toMatchObject([
      { kind: 'refused', archivedUid: 5, problem: { code: 'conflict', status: 409 } },
      { kind: 'submitted', archivedUid: 6, uid: 2 },
      { kind: 'done', submitted: 1, duplicates: 0, refused: 1 },
    ]);
    expect(api.process.get('lock')?.value).toBe('theirs');
  });

  test('that is repeated makes each change once (I8)', async () => {
    archive(change('a', 1), change('b', 2));
    await replay();
    expect(linesOf((await replay()).text)).toMatchObject([
      { archivedUid: 5, uid: 1, duplicate: true },
      { archivedUid: 6, uid: 2, duplicate: true },
      { kind: 'done', submitted: 0, duplicates: 2, refused: 0 },
    ]);
    expect(api.process.uid).toBe(2);
  });

  test('submits nothing behind a change that got no answer, and goes on from there when it is called again', async () => {
    archive(change('a', 1), change('b', 2), change('c', 3));
    const call = api.open(path, { method: 'POST' });
    api.process.hold();
    await eventually(() => expect(api.process.heldCount).toBe(1));
    api.process.failure = new AppError('no_leader', 'Nobody leads.');
    api.process.release();
    const answer = await call;
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    expect(linesOf(text)).toMatchObject([{ archivedUid: 5 }, { kind: 'stopped', problem: { code: 'no_leader', retryable: true } }]);
    expect(api.process.submitted).toHaveLength(2);
    expect(linesOf((await replay()).text)).toMatchObject([
      { archivedUid: 5, duplicate: true },
      { archivedUid: 6, duplicate: false },
      { archivedUid: 7, duplicate: false },
      { kind: 'done', submitted: 2, duplicates: 1 },
    ]);
  });

  test.each([
    ['no_leader', 503],
    ['always_follower', 403],
  ] as const)('that cannot begin is refused as such: %s', async (code, status) => {
    archive(change('a', 1));
    api.process.failure = new AppError(code, 'It is so.');
    expect((await replay()).json).toMatchObject({ code, status });
  });

  test('of an archive that is not there is not found', async () => {
    expect((await replay()).json).toMatchObject({ code: 'not_found', status: 404 });
  });

  test('is a write: whoever may only read is refused', async () => {
    api.decision = 'forbidden';
    const answer = await api.call(path, { method: 'POST', localAddress: '127.0.0.2', headers: { authorization: 'Bearer t' } });
    expect(answer.status).toBe(403);
    expect(api.asked).toEqual([['t', 'update']]);
  });

  test('ends when the caller leaves', async () => {
    let isClosed = false;
    function* changes(): Generator<{ uid: number; change: Change }> {
      try {
        for (let uid = 1; uid <= 1000; uid += 1) yield { uid, change: change(`k${String(uid)}`, uid) };
      } finally {
        isClosed = true;
      }
    }
    api.process.archivedTails.set('diverged-3-5-7', changes());
    api.process.hold();
    const opening = api.open(path, { method: 'POST' });
    await eventually(() => expect(api.process.heldCount).toBe(1));
    api.process.release(1);
    (await opening).destroy();
    await eventually(() => {
      api.process.release(1);
      expect(isClosed).toBe(true);
    });
    expect(api.process.submitted.length).toBeLessThan(1000);
  });

  test('ends with the server, and says so', async () => {
    archive(change('a', 1), change('b', 2), change('c', 3));
    api.process.hold();
    const opening = api.open(path, { method: 'POST' });
    await eventually(() => expect(api.process.heldCount).toBe(1));
    api.process.release(1);
    const answer = await opening;
    await eventually(() => expect(api.process.heldCount).toBe(1));
    const closed = api.close();
    api.process.release();
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    expect(linesOf(text).at(-1)).toMatchObject({ kind: 'stopped', problem: { code: 'stopping' } });
    expect(api.process.submitted).toHaveLength(2);
    await closed;
  });
});
