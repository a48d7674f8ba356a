// Who may call what.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { createServer } from '../../sidecar/http/server.ts';
import { FakeProcess } from '../lib/fake-process.ts';
import { ProcessApi, type CallOptions } from '../lib/process-api.ts';
import { pino } from 'pino';

/** Not 127.0.0.1: to the server a caller from elsewhere. */
const elsewhere = '127.0.0.2';
const token = 'eyJhbGciOi.J9-_~+/x==';
let api: ProcessApi;
beforeEach(async () => {
  api = await ProcessApi.start();
});
afterEach(() => api.close());

const remote = (options: CallOptions = {}): CallOptions => ({ localAddress: elsewhere, ...options });
const json = { 'content-type': 'application/json' };

describe('from elsewhere', () => {
  test('without a token is 401, and the caller learns how', async () => {
    const answer = await api.call('/v1/role', remote());
    expect(answer).toMatchObject({ status: 401, json: { code: 'unauthorized' }, headers: { 'www-authenticate': 'Bearer' } });
    expect(api.asked).toEqual([]);
  });

  test('the verb is get for reads and update for writes', async () => {
    const headers = { authorization: `Bearer ${token}` };
    await api.call('/v1/state/a', remote({ headers }));
    await api.call('/v1/state', remote({ headers }));
    await api.call('/v1/status', remote({ headers }));
    await api.call('/v1/state/a', remote({ headers: { ...headers, ...json }, method: 'PUT', body: '1' }));
    await api.call('/v1/state/a', remote({ headers, method: 'DELETE' }));
    await api.call(
      '/v1/changes',
      remote({ headers: { ...headers, ...json }, method: 'POST', body: '{"operations":[{"delete":{"key":"a"}}]}' }),
    );
    expect(api.asked).toEqual(['get', 'get', 'get', 'update', 'update', 'update'].map((verb) => [token, verb]));
    expect(api.process.uid).toBe(3);
  });

  test.each([
    ['unauthorized', 401],
    ['forbidden', 403],
  ] as const)('what Kubernetes says counts: %s', async (decision, status) => {
    api.decision = decision;
    const answer = await api.call('/v1/state/a', remote({ method: 'DELETE', headers: { authorization: `Bearer ${token}` } }));
    expect(answer).toMatchObject({ status, json: { code: decision } });
    expect(api.process.submitted).toEqual([]);
    expect(answer.text + api.logged.join('')).not.toContain(token);
  });

  test.each(['Basic dTpw', 'Bearer', 'Bearer  ', 'Bearer a b', 'Bearer é', token])(
    'a header of another form is 401: %s',
    async (authorization) => {
      expect(
        (await api.call('/v1/role', remote({ headers: { authorization: Buffer.from(authorization).toString('latin1') } }))).status,
      ).toBe(401);
    },
  );

  test('probes and metrics need no token', async () => {
    for (const path of ['/livez', '/readyz', '/startupz', '/leader', '/metrics', '/v1/openapi.json'])
      expect((await api.call(path, remote())).status).toBe(200);
  });

  test('nobody hands over, with any token', async () => {
    const answer = await api.call('/prestop', remote({ method: 'POST', headers: { authorization: `Bearer ${token}` } }));
    expect(answer).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    expect(api.process.handOvers).toBe(0);
  });

  test('a body is not read from who may not send one: the connection ends, and only then', async () => {
    const headers = { ...json, connection: 'keep-alive' };
    const body = await api.call('/v1/changes', remote({ method: 'POST', headers, body: 'x'.repeat(500_000) }));
    expect(body).toMatchObject({ status: 401, headers: { connection: 'close' } });
    const none = await api.open('/v1/role', remote({ headers: { connection: 'keep-alive' } }));
    expect(none).toMatchObject({ statusCode: 401, headers: { connection: 'keep-alive' } });
    none.destroy();
  });

  test('503 when Kubernetes cannot be asked', async () => {
    const server = createServer({
      process: new FakeProcess(),
      authorise: () => Promise.reject(new AppError('api_unavailable', 'No answer.')),
      logger: pino({ enabled: false }),
      port: 0,
      host: '127.0.0.1',
    });
    api.port = await server.listen();
    const answer = await api.call('/v1/role', remote({ headers: { authorization: `Bearer ${token}` } }));
    await server.close();
    expect(answer).toMatchObject({ status: 503, json: { code: 'api_unavailable' } });
  });
});

describe('from loopback', () => {
  test.each(['localhost', 'LOCALHOST:8080', '127.0.0.1:5000', '[::1]:5000'])('needs no token when it calls us %s', async (host) => {
    expect((await api.call('/v1/role', { headers: { host } })).status).toBe(200);
  });

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:5000', 'trading-0'])(
    'needs one when it calls us %s: a rebound name, or a proxy for somebody else',
    async (host) => {
      expect((await api.call('/v1/role', { headers: { host } })).status).toBe(401);
    },
  );

  test('needs one when a page of another origin sends it (kubectl port-forward and a browser)', async () => {
    const host = `localhost:${String(api.port)}`;
    const post = (origin: string) => api.call('/prestop', { method: 'POST', headers: { host, origin } });
    expect((await post('http://evil.example')).status).toBe(403);
    expect((await post('null')).status).toBe(403);
    expect(api.process.handOvers).toBe(0);
    expect((await post(`http://${host}`)).status).toBe(200);
  });
});
