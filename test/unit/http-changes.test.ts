// /v1/changes: one change, many on a connection, the log.
import { request } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { limits } from '../../sidecar/core/frame.ts';
import { defaultBounds } from '../../sidecar/http/bounds.ts';
import { BulkExchange } from '../../sidecar/http/bulk.ts';
import { ProcessApi, put } from '../lib/process-api.ts';
import { eventually } from '../lib/eventually.ts';

let api: ProcessApi;
beforeEach(async () => {
  api = await ProcessApi.start({ bulkWindow: 4 });
});
afterEach(() => api.close());

const line = (n: number): string => `${JSON.stringify({ operations: [put(`k${String(n)}`, n)] })}\n`;
const answersOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((answer): unknown => JSON.parse(answer));

describe('one change', () => {
  test('is answered with its UID and epoch: 201 when new, 200 when its idempotency key is known (I8)', async () => {
    const change = { operations: [put('a', 1), { delete: { key: 'b' } }, { append: { topic: 't', value: [1] } }], idempotencyKey: 'one' };
    const first = await api.send('POST', '/v1/changes', change);
    expect(first).toMatchObject({ status: 201, json: { uid: 1, epoch: 3, duplicate: false } });
    expect(await api.send('POST', '/v1/changes', change)).toMatchObject({ status: 200, json: { uid: 1, epoch: 3, duplicate: true } });
    expect(api.process.submitted[0]).toEqual(change);
  });

  test('takes its idempotency key from the header too, unless they differ', async () => {
    const change = { operations: [put('a', 1)] };
    await api.send('POST', '/v1/changes', change, { 'idempotency-key': 'h' });
    expect(api.process.submitted[0]).toEqual({ ...change, idempotencyKey: 'h' });
    expect((await api.send('POST', '/v1/changes', { ...change, idempotencyKey: 'b' }, { 'idempotency-key': 'h' })).status).toBe(400);
  });

  test('fails with 409 when a precondition of its body does not hold', async () => {
    const answer = await api.send('POST', '/v1/changes', { operations: [put('a', 1)], preconditions: [{ key: 'a', exists: true }] });
    expect(answer.json).toMatchObject({ status: 409, code: 'conflict' });
  });

  test('says what of it is wrong', async () => {
    const answer = await api.send('POST', '/v1/changes', { operations: [put('a', 1), { append: { topic: 't' } }] });
    expect((answer.json as { detail: string }).detail).toMatch(/^operations\.1\.append\.value: /);
  });

  test('limits count bytes of UTF-8: at the limit it passes, one byte over it is refused with its own code', async () => {
    const code = async (change: unknown): Promise<unknown> =>
      ((await api.send('POST', '/v1/changes', change)).json as { code?: string }).code;
    const change = (key: string, value: unknown): unknown => ({ operations: [put(key, value)] });
    expect(await code(change('é'.repeat(limits.keyBytes / 2), 1))).toBeUndefined();
    expect(await code(change(`${'é'.repeat(limits.keyBytes / 2)}x`, 1))).toBe('key_too_long');
    expect(await code({ operations: [{ append: { topic: 't'.repeat(limits.topicBytes + 1), value: 1 } }] })).toBe('key_too_long');
    expect(await code({ operations: [put('a', 1)], preconditions: [{ key: 'k'.repeat(limits.keyBytes + 1) }] })).toBe('key_too_long');
    expect(await code(change('a', 'é'.repeat(limits.valueBytes / 2 - 1)))).toBeUndefined();
    expect(await code(change('a', `${'é'.repeat(limits.valueBytes / 2 - 1)}x`))).toBe('value_too_large');
    expect(await code({ operations: [put('a', 'v'.repeat(limits.changeBytes / 2)), put('b', 'v'.repeat(limits.changeBytes / 2))] })).toBe(
      'change_too_large',
    );
    expect(await code(change('a', 'v'.repeat(1024 * 1024)))).toBe('body_too_large');
    expect(await code({ operations: [put('a', 1)], idempotencyKey: 'é'.repeat(limits.idempotencyKeyBytes / 2 + 1) })).toBe(
      'invalid_request',
    );
  });
});

describe('many changes on one connection', () => {
  const bulk = (body: string | Uint8Array) =>
    api.call('/v1/changes', { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body });

  test('are answered a line each, in order, the last without its newline too', async () => {
    const body = Array.from({ length: 50 }, (_, n) => line(n))
      .join('')
      .trimEnd();
    const answer = await bulk(body);
    expect(answer.headers['content-type']).toBe('application/x-ndjson');
    expect(answersOf(answer.text)).toEqual(Array.from({ length: 50 }, (_, n) => ({ uid: n + 1, epoch: 3, duplicate: false })));
  });

  test('a line that is refused is answered in its place, and the rest goes on', async () => {
    const answer = await bulk(`${line(1)}nonsense\n\n{"operations":[]}\n${line(2)}`);
    expect(answersOf(answer.text)).toMatchObject([{ uid: 1 }, { code: 'invalid_request' }, { code: 'invalid_request' }, { uid: 2 }]);
  });

  test('lines may be cut anywhere, inside a character too', async () => {
    const bytes = Buffer.from(`${JSON.stringify({ operations: [put('é€😀', 'é')] })}\n${line(2)}`);
    const call = request({
      host: '127.0.0.1',
      port: api.port,
      path: '/v1/changes',
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
    });
    const answered = new Promise<string>((resolve) => {
      call.on('response', (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => {
          resolve(text);
        });
      });
    });
    for (const byte of bytes) await new Promise((done) => call.write(Buffer.of(byte), done));
    call.end();
    expect(answersOf(await answered)).toMatchObject([{ uid: 1 }, { uid: 2 }]);
    expect(api.process.get('é€😀')?.value).toBe('é');
  });

  test('I10: no more than the window is under way; answers leave room for more, in order', async () => {
    api.process.hold();
    const answered = bulk(Array.from({ length: 12 }, (_, n) => line(n)).join(''));
    await eventually(() => {
      expect(api.process.heldCount).toBe(4);
    });
    api.process.release(2);
    await eventually(() => {
      expect(api.process.submitted).toHaveLength(6);
    });
    expect(api.process.heldCount).toBe(4);
    api.process.release();
    expect(answersOf((await answered).text).map((one) => (one as { uid: number }).uid)).toEqual(
      Array.from({ length: 12 }, (_, n) => n + 1),
    );
  });

  // As when the caller's token takes time to check: the end has come before anything is read.
  test.each([1, 2, 5])(
    'I10: a body that is there to its end, cut into %d, is submitted to its last line, a window at a time',
    async (count) => {
      const lines = Array.from({ length: 12 }, (_, n) => `line ${String(n)}`);
      const body = Buffer.from(lines.join('\n'));
      const source = new Readable({ read: () => undefined });
      const size = Math.ceil(body.length / count);
      for (let at = 0; at < body.length; at += size) source.push(body.subarray(at, at + size));
      source.push(null);
      const sink = new PassThrough();
      let underWay = 0;
      const seen: number[] = [];
      const submit = async (submitted: Buffer): Promise<string> => {
        seen.push((underWay += 1));
        await turn();
        underWay -= 1;
        return submitted.toString();
      };
      new BulkExchange({ source, sink, submit, refuse: String, bounds: { ...defaultBounds, bulkWindow: 4 } });
      expect(await text(sink)).toBe(`${lines.join('\n')}\n`);
      expect(Math.max(...seen)).toBe(4);
    },
  );

  test('I10: a line over the limit ends the exchange after the answers before it', async () => {
    const answer = await bulk(`${line(1)}${'x'.repeat(1024 * 1024 + 1)}\n${line(2)}`);
    expect(answersOf(answer.text)).toMatchObject([{ uid: 1 }, { code: 'body_too_large' }]);
    expect(api.process.submitted).toHaveLength(1);
  });

  test('the Idempotency-Key header is refused: it would make all lines one change', async () => {
    const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': 'k' };
    expect((await api.call('/v1/changes', { method: 'POST', headers, body: line(1) })).status).toBe(400);
  });

  test('a caller that leaves takes nothing with it, and leaves nothing behind', async () => {
    api.process.hold();
    const call = request({
      host: '127.0.0.1',
      port: api.port,
      path: '/v1/changes',
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
    });
    call.on('error', () => undefined);
    call.write(line(1));
    await eventually(() => {
      expect(api.process.heldCount).toBe(1);
    });
    call.destroy();
    api.process.release();
    await eventually(() => {
      expect(api.process.uid).toBe(1);
    });
    expect((await api.call('/v1/role')).status).toBe(200);
  });
});

describe('the log', () => {
  test('is read from a UID on, across pages, up to the limit', async () => {
    for (let n = 1; n <= 150; n += 1) await api.process.submit({ operations: [{ put: { key: 'k', value: n } }] });
    const uids = async (query: string): Promise<number[]> =>
      answersOf((await api.call(`/v1/changes?${query}`)).text).map((change) => (change as { uid: number }).uid);
    expect(await uids('')).toEqual(Array.from({ length: 150 }, (_, n) => n + 1));
    expect(await uids('fromUid=80&limit=66')).toEqual(Array.from({ length: 66 }, (_, n) => n + 80));
    expect((await api.call('/v1/changes?fromUid=151')).text).toBe('');
  });

  test('is 410 below what was compacted', async () => {
    api.process.firstUid = 10;
    expect((await api.call('/v1/changes?fromUid=9')).json).toMatchObject({ status: 410, code: 'compacted' });
  });
});
