// Whatever a caller sends: a 4xx with a code, never a 5xx, and nothing of it reaches the log.
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { errorCatalogue } from '../../common/errors.ts';
import { limits } from '../../sidecar/core/frame.ts';
import { ProcessApi, type Answered } from '../lib/process-api.ts';

let api: ProcessApi;
beforeAll(async () => {
  api = await ProcessApi.start();
});
afterAll(() => api.close());

const json = { 'content-type': 'application/json' };
const post = (body: string | Uint8Array, headers: Readonly<Record<string, string>> = json): Promise<Answered> =>
  api.call('/v1/changes', { method: 'POST', headers, body });

function expectRefusal(answer: Answered): void {
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.status).toBeLessThan(500);
  const problem = answer.json as { code: string; status: number };
  expect(Object.keys(errorCatalogue)).toContain(problem.code);
  expect(problem.status).toBe(answer.status);
  expect(answer.headers['content-type']).toContain('application/problem+json');
  expect(api.process.submitted).toEqual([]);
}

const key = fc.string({ minLength: 1, maxLength: 8 });
const goodOperation = fc.record({ put: fc.record({ key, value: fc.constant(1) }) });
const tooDeep = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
/** JSON that is no change, each by one fault in an otherwise good one. */
const badChange = fc.oneof(
  fc.jsonValue().filter((value) => typeof value !== 'object' || value === null || !('operations' in value)),
  fc.constantFrom({ operations: [] }, { operations: null }, { operations: {} }),
  fc.record({
    operations: fc.tuple(
      goodOperation,
      fc.jsonValue().filter((value) => !isOperation(value)),
    ),
  }),
  fc.record({
    operations: fc.tuple(fc.record({ put: fc.record({ key: fc.oneof(fc.constant(''), fc.integer()), value: fc.constant(1) }) })),
  }),
  fc.record({ operations: fc.tuple(fc.record({ put: fc.record({ key, value: fc.constant(1), extra: fc.constant(1) }) })) }),
  fc.record({ operations: fc.tuple(fc.record({ put: fc.record({ key, value: fc.constant(1) }), delete: fc.record({ key }) })) }),
  fc.record({
    operations: fc.array(goodOperation, { minLength: limits.operationsPerChange + 1, maxLength: limits.operationsPerChange + 2 }),
  }),
  fc.record({
    operations: fc.tuple(goodOperation),
    preconditions: fc.tuple(fc.record({ key, uid: fc.oneof(fc.integer({ max: -1 }), fc.constant(0.5)) })),
  }),
  fc.record({
    operations: fc.tuple(goodOperation),
    idempotencyKey: fc.oneof(fc.constant(''), fc.integer(), fc.string({ minLength: 129, maxLength: 140 })),
  }),
  fc.record({ operations: fc.tuple(goodOperation), unknown: fc.jsonValue() }),
);
function isOperation(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ['put', 'delete', 'append'].some((name) => name in value);
}

describe('bodies', () => {
  test('JSON that is not a change is refused', async () => {
    await fc.assert(
      fc.asyncProperty(badChange, async (change) => {
        expectRefusal(await post(JSON.stringify(change)));
      }),
      { numRuns: 300 },
    );
  });

  test('bytes that are not JSON are refused', async () => {
    const isJson = (bytes: Uint8Array): boolean => {
      try {
        JSON.parse(Buffer.from(bytes).toString());
        return true;
      } catch {
        return false;
      }
    };
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.string({ maxLength: 64 }).map((value) => Buffer.from(value)),
    );
    await fc.assert(
      fc.asyncProperty(
        bytes.filter((value) => !isJson(value)),
        async (body) => {
          expectRefusal(await post(body));
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each([
    ['__proto__ in a value', '{"operations":[{"put":{"key":"a","value":{"x":{"__proto__":{"admin":true}}}}}]}'],
    ['__proto__ escaped', '{"operations":[{"put":{"key":"a","value":{"\\u005f_proto__":1}}}]}'],
    ['__proto__ at the top', '{"__proto__":{"operations":[{"put":{"key":"a","value":1}}]}}'],
    ['nesting over the limit', `{"operations":[{"put":{"key":"a","value":${tooDeep(65)}}}]}`],
    ['nesting that would exhaust a stack', `{"operations":[{"put":{"key":"a","value":${tooDeep(200_000)}}}]}`],
    ['a number that JSON cannot give back', '{"operations":[{"put":{"key":"a","value":1e999}}]}'],
    ['half a surrogate pair in a key', '{"operations":[{"put":{"key":"a\\ud800","value":1}}]}'],
    ['two values', '{"operations":[{"put":{"key":"a","value":1}}]} {}'],
  ])('%s is refused', async (_name, body) => {
    expectRefusal(await post(body));
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test('overlong UTF-8 and a cut character are refused, not replaced', async () => {
    for (const bytes of [
      [0x22, 0xc0, 0xaf, 0x22],
      [0x22, 0xe2, 0x82, 0x22],
      [0xff, 0xfe],
    ])
      expectRefusal(await api.call('/v1/state/a', { method: 'PUT', headers: json, body: Uint8Array.from(bytes) }));
  });

  test('another content type is 415, with the types that are taken', async () => {
    const types = fc.oneof(
      fc.constantFrom(
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
        'application/jsonp',
        'json',
        '',
        ';',
        '/',
      ),
      fc.string({ maxLength: 20 }).map((value) => value.replace(/[^\x20-\x7e]/g, '')),
    );
    await fc.assert(
      fc.asyncProperty(
        types.filter((type) => !/^\s*application\/(json|x-ndjson)\s*(;|$)/i.test(type)),
        async (type) => {
          const answer = await post('{"operations":[{"put":{"key":"a","value":1}}]}', { 'content-type': type });
          expectRefusal(answer);
          expect(answer.status).toBe(415);
        },
      ),
      { numRuns: 60 },
    );
    expectRefusal(await api.call('/v1/state/a', { method: 'PUT', headers: { 'content-type': 'application/x-ndjson' }, body: '1' }));
    expectRefusal(await post('{}', { ...json, 'content-encoding': 'gzip' }));
    expectRefusal(await post('', json));
    expectRefusal(await api.call('/v1/state/a', { method: 'PUT' }));
  });
});

describe('addresses', () => {
  test('malformed percent-encoding, an empty key and one that is too long are refused', async () => {
    const bad = fc.oneof(
      fc.constantFrom(
        '',
        '%',
        '%z',
        '%zz',
        '%c3%28',
        '%ff',
        '%ed%a0%80',
        'a%2',
        'k'.repeat(limits.keyBytes + 1),
        '%41'.repeat(limits.keyBytes + 1),
      ),
      fc.stringMatching(/^[a-z]{0,5}%[g-z][0-9a-f][a-z]{0,5}$/),
    );
    await fc.assert(
      fc.asyncProperty(bad, fc.constantFrom('GET', 'DELETE'), async (path, method) => {
        expectRefusal(await api.call(`/v1/state/${path}`, { method }));
      }),
      { numRuns: 80 },
    );
  });

  test('unknown paths are 404, also with a body of any type', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[a-z0-9/._~-]{0,20}$/),
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH'),
        async (path, method) => {
          const answer = await api.call(`/none/${path}`, {
            method,
            ...(method === 'GET' ? {} : { headers: { 'content-type': 'a/b' }, body: '{' }),
          });
          expectRefusal(answer);
          expect(answer.status).toBe(404);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a method that a path does not take is 405, with those that it takes', async () => {
    const answers = await Promise.all(['POST', 'PATCH', 'OPTIONS', 'TRACE'].map((method) => api.call('/v1/state/a', { method })));
    for (const answer of answers) {
      expectRefusal(answer);
      expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, PUT, DELETE' } });
    }
    expect((await api.call('/v1/watch', { method: 'HEAD' })).status).toBe(405);
    expect((await api.call('/v1/changes', { method: 'PROPFIND' })).status).toBe(404);
  });
});

describe('HTTP itself', () => {
  const raw = async (request: string): Promise<string> => {
    const socket = connect(api.port, '127.0.0.1');
    socket.end(request);
    return text(socket);
  };

  test.each([
    ['not HTTP', 'hello\r\n\r\n', 400, 'invalid_request'],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'invalid_request'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 400, 'invalid_request'],
    ['length and chunks', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx', 400, 'invalid_request'],
    ['headers over the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
  ])('%s is refused with a problem document', async (_name, request, status, code) => {
    const answer = await raw(request);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ status, code });
  });
});
