// /v1/state: reads, writes, conditional headers, listings.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { AppError } from '../../common/errors.ts';
import type { Json } from '../../sidecar/core/frame.ts';
import { ProcessApi } from '../lib/process-api.ts';

describe('state of one key', () => {
  let api: ProcessApi;
  beforeAll(async () => {
    api = await ProcessApi.start();
  });
  afterAll(() => api.close());

  test('a value that was put is read back with its UID as ETag', async () => {
    const written = await api.send('PUT', '/v1/state/orders/1', { side: 'buy' });
    expect(written.status).toBe(200);
    const { uid } = written.json as { uid: number };
    expect(written.headers.etag).toBe(`"${String(uid)}"`);
    const read = await api.call('/v1/state/orders/1');
    expect(read.json).toEqual({ key: 'orders/1', value: { side: 'buy' }, uid, readUid: api.process.uid });
    expect(read.headers.etag).toBe(written.headers.etag);
  });

  const values: Json[] = [null, false, 0, '', 'text', [], {}, [1, [2]], { constructor: 1, toString: null }];
  test.each(values.map((value) => [value]))('any JSON value is kept: %j', async (value) => {
    expect((await api.send('PUT', '/v1/state/any', value)).status).toBe(200);
    expect((await api.call('/v1/state/any')).json).toMatchObject({ value });
  });

  test('every well-formed key comes back as it was, whatever it holds', async () => {
    const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(key, fc.boolean(), async (name, keepSlashes) => {
        const encoded = keepSlashes ? name.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(name);
        expect((await api.send('PUT', `/v1/state/${encoded}`, name)).status).toBe(200);
        expect((await api.call(`/v1/state/${encoded}`)).json).toMatchObject({ key: name, value: name });
      }),
      {
        numRuns: 150,
        examples: [
          ['a/b//c/', true],
          ['../../etc', true],
          ['%2f?#;&=+ "', false],
          ['__proto__', true],
          ['\0\n', false],
        ],
      },
    );
    // Some three hundred requests, one after the other.
  }, 20_000);

  test('a key that does not exist is 404, and DELETE of it is a change all the same', async () => {
    expect((await api.call('/v1/state/none')).json).toMatchObject({ status: 404, code: 'not_found' });
    expect((await api.call('/v1/state/none', { method: 'DELETE' })).json).toMatchObject({ uid: api.process.uid, duplicate: false });
  });

  test('If-Match and If-None-Match become preconditions, and fail with 412', async () => {
    const first = await api.send('PUT', '/v1/state/cas', 1, { 'if-none-match': '*' });
    expect(first.status).toBe(200);
    expect((await api.send('PUT', '/v1/state/cas', 2, { 'if-none-match': '*' })).json).toMatchObject({
      status: 412,
      code: 'precondition_failed',
    });
    expect((await api.send('PUT', '/v1/state/cas', 2, { 'if-match': '"999999"' })).status).toBe(412);
    expect((await api.send('PUT', '/v1/state/cas', 2, { 'if-match': first.headers.etag ?? '' })).status).toBe(200);
    expect((await api.call('/v1/state/cas', { method: 'DELETE', headers: { 'if-match': first.headers.etag ?? '' } })).status).toBe(412);
    expect((await api.call('/v1/state/cas', { method: 'DELETE', headers: { 'if-match': '*' } })).status).toBe(200);
    expect((await api.call('/v1/state/cas', { method: 'DELETE', headers: { 'if-match': '*' } })).status).toBe(412);
  });

  test.each([
    [{ 'if-match': '7' }],
    [{ 'if-match': 'W/"7"' }],
    [{ 'if-match': '"7", "8"' }],
    [{ 'if-match': '"07"' }],
    [{ 'if-none-match': '"7"' }],
    [{ 'if-match': '*', 'if-none-match': '*' }],
  ])('conditional headers of another form are refused, not ignored: %j', async (headers) => {
    const before = api.process.submitted.length;
    expect((await api.send('PUT', '/v1/state/strict', 1, headers)).json).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(api.process.submitted).toHaveLength(before);
  });

  test('GET with the ETag that is current is 304', async () => {
    const { headers } = await api.send('PUT', '/v1/state/etag', 1);
    expect((await api.call('/v1/state/etag', { headers: { 'if-none-match': headers.etag ?? '' } })).status).toBe(304);
    expect((await api.call('/v1/state/etag', { headers: { 'if-none-match': '"0"' } })).status).toBe(200);
  });

  test('I8: the same Idempotency-Key is one change', async () => {
    const headers = { 'idempotency-key': 'put-1' };
    const first = await api.send('PUT', '/v1/state/once', 1, headers);
    const second = await api.send('PUT', '/v1/state/once', 1, headers);
    expect(second.json).toEqual({ ...(first.json as object), duplicate: true });
  });

  test('I9: the consistency asked for reaches the process', async () => {
    api.process.reads.length = 0;
    await api.call('/v1/state/any');
    await api.call('/v1/state/any?consistency=local');
    await api.call('/v1/state/any?consistency=linearizable');
    await api.call('/v1/state/any?minUid=2');
    expect(api.process.reads).toEqual([{ kind: 'local' }, { kind: 'local' }, { kind: 'linearizable' }, { kind: 'minUid', uid: 2 }]);
    expect((await api.call('/v1/state/any?minUid=2&consistency=linearizable')).status).toBe(400);
  });

  test('a refusal of the process is answered with its status, remedy and Retry-After', async () => {
    api.process.failure = new AppError('no_leader', 'Nobody leads.');
    const answer = await api.send('PUT', '/v1/state/a', 1);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.json).toMatchObject({ status: 503, code: 'no_leader', detail: 'Nobody leads.', retryable: true });
  });

  test('an unexpected failure is a 500 that says nothing of it, and is logged', async () => {
    api.process.failure = new TypeError('secret of the house');
    const answer = await api.call('/v1/state/a');
    expect(answer.json).toMatchObject({ status: 500, code: 'internal_error' });
    expect(answer.text).not.toContain('secret');
    expect(api.logged.join('')).toContain('secret of the house');
  });
});

describe('listing', () => {
  let api: ProcessApi;
  beforeAll(async () => {
    api = await ProcessApi.start({ listBytes: 100 });
    for (const key of ['a/1', 'a/2', 'a/3', 'b/1']) await api.send('PUT', `/v1/state/${key}`, 'v'.repeat(10));
  });
  afterAll(() => api.close());

  const keys = (json: unknown): string[] => (json as { entries: { key: string }[] }).entries.map(({ key }) => key);

  test('keys with the prefix come in order, a page at a time', async () => {
    const first = await api.call('/v1/state?prefix=a%2F&limit=2');
    expect(keys(first.json)).toEqual(['a/1', 'a/2']);
    expect(first.json).toMatchObject({ next: 'a/2', readUid: 4 });
    const second = await api.call('/v1/state?prefix=a/&limit=2&after=a/2');
    expect(keys(second.json)).toEqual(['a/3']);
    expect(second.json).toMatchObject({ next: null });
  });

  test('I10: a page ends early when it is large enough, and says where to go on', async () => {
    const first = await api.call('/v1/state');
    expect(keys(first.json)).toEqual(['a/1', 'a/2', 'a/3']);
    expect(keys((await api.call(`/v1/state?after=${(first.json as { next: string }).next}`)).json)).toEqual(['b/1']);
  });

  test.each([
    'limit=0',
    'limit=1001',
    'limit=1e2',
    'limit=',
    'limit=-1',
    'nope=1',
    'prefix=a&prefix=b',
    'prefix=%zz',
    'prefix=%ff',
    'minUid=x',
    'consistency=eventual',
  ])('refuses %s', async (query) => {
    expect((await api.call(`/v1/state?${query}`)).status).toBe(400);
  });

  test('refuses a bound that is longer than any key', async () => {
    expect((await api.call(`/v1/state?after=${'k'.repeat(1025)}`)).json).toMatchObject({ code: 'key_too_long' });
  });
});
