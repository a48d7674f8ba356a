// The server itself: closing, time limits, the description of the API.
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Bounds } from '../../sidecar/http/bounds.ts';
import { problemSchema } from '../../sidecar/http/problem.ts';
import { ProcessApi, put } from '../lib/process-api.ts';
import { eventually } from '../lib/eventually.ts';

let api: ProcessApi;
const start = (bounds: Partial<Bounds>) => async (): Promise<void> => {
  api = await ProcessApi.start(bounds);
};
afterEach(() => api.close());

describe('closing', () => {
  beforeEach(start({ closeTimeoutMs: 500 }));

  test('lets a request under way finish', async () => {
    api.process.hold();
    const answered = api.send('POST', '/v1/changes', { operations: [put('a', 1)] });
    await eventually(() => {
      expect(api.process.heldCount).toBe(1);
    });
    const closed = api.close();
    api.process.release();
    expect((await answered).status).toBe(201);
    await closed;
    await expect(api.call('/livez')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('does not wait longer than its limit', async () => {
    api.process.hold();
    const answered = api.send('POST', '/v1/changes', { operations: [put('a', 1)] });
    const refused = expect(answered).rejects.toMatchObject({ code: 'ECONNRESET' });
    await eventually(() => {
      expect(api.process.heldCount).toBe(1);
    });
    await api.close();
    await refused;
  });

  test('answers what an NDJSON exchange had submitted, then ends it', async () => {
    api.process.hold();
    const socket = connect(api.port, '127.0.0.1');
    const answered = text(socket);
    const body = '{"operations":[{"delete":{"key":"a"}}]}\n';
    socket.write(
      `POST /v1/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    socket.write(`${body.length.toString(16)}\r\n${body}\r\n`);
    await eventually(() => {
      expect(api.process.heldCount).toBe(1);
    });
    const closed = api.close();
    api.process.release();
    expect(await answered).toContain('{"uid":1,"epoch":3,"duplicate":false}');
    await closed;
  });
});

describe('time and number', () => {
  beforeEach(start({ bodyTimeoutMs: 60, headersTimeoutMs: 60, streamLifetimeMs: 80, connections: 4 }));

  const raw = async (request: string): Promise<string> => {
    const socket = connect(api.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(request);
    return text(socket).catch(() => '');
  };

  test('I10: headers that do not arrive in time are 408', async () => {
    expect(await raw('GET /livez HTTP/1.1\r\nHost: a\r\n')).toContain('"code":"request_timeout"');
  });

  test('I10: a JSON body that does not arrive in time ends the connection', async () => {
    expect(await raw('PUT /v1/state/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"a')).toBe(
      '',
    );
    expect(api.process.submitted).toEqual([]);
  });

  test('a handler may take longer than a body', async () => {
    api.process.hold();
    const answered = api.send('PUT', '/v1/state/a', 1);
    await eventually(() => {
      expect(api.process.heldCount).toBe(1);
    });
    const late = performance.now() + 100;
    await eventually(() => {
      expect(performance.now()).toBeGreaterThan(late);
    });
    api.process.release();
    expect((await answered).status).toBe(200);
  });

  test('I10: a stream ends after its life, and is resumed', async () => {
    expect((await api.call('/v1/watch')).text).toMatch(/^retry: /);
  });

  test('I10: connections over the limit are closed at once', async () => {
    const sockets = Array.from({ length: 6 }, () => connect(api.port, '127.0.0.1'));
    let closed = 0;
    for (const socket of sockets)
      socket
        .on('error', () => undefined)
        .on('close', () => (closed += 1))
        .resume();
    await eventually(() => {
      expect(closed).toBe(2);
    });
    for (const socket of sockets) socket.destroy();
  });
});

describe('the description', () => {
  beforeEach(start({}));

  interface Described {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown>; parameters: { name: string }[] }>>;
    components: { schemas: Record<string, { required?: string[]; properties?: Record<string, unknown> }> };
  }
  const describeApi = async (): Promise<Described> => (await api.call('/v1/openapi.json')).json as Described;

  test('names every path and method that the server takes, and no other', async () => {
    const { openapi, paths } = await describeApi();
    expect(openapi).toBe('3.1.0');
    const all = ['GET', 'PUT', 'POST', 'DELETE'];
    for (const [path, methods] of Object.entries(paths)) {
      const probe = await api.call(path.replace(/\{\w+\}/, 'k'), { method: 'PATCH' });
      const allowed = String(probe.headers.allow)
        .split(', ')
        .filter((method) => method !== 'HEAD');
      expect(all.filter((method) => method.toLowerCase() in methods).sort()).toEqual(allowed.sort());
    }
    expect(Object.keys(paths)).toHaveLength(16);
  });

  test('every reference leads somewhere, and operation names are unique', async () => {
    const description = await describeApi();
    const references = JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g);
    for (const [, name = ''] of references) expect(Object.keys(description.components.schemas)).toContain(name);
    expect(JSON.stringify(description)).not.toContain('$defs');
    const names = Object.values(description.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(names).size).toBe(names.length);
  });

  test('the schemas are those that validate: limits, parameters and codes are in it', async () => {
    const { paths, components } = await describeApi();
    expect(components.schemas['Change']).toMatchObject({
      required: ['operations'],
      properties: { operations: { minItems: 1, maxItems: 128 } },
    });
    expect(components.schemas['Problem']?.required).toEqual(Object.keys(problemSchema.shape));
    const names = paths['/v1/state/{key}']?.['put']?.parameters.map(({ name }) => name);
    expect(names).toEqual(['key', 'if-match', 'if-none-match', 'idempotency-key']);
  });
});
