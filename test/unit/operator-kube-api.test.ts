// Requests to an API server: which answers are outcomes of the request, and which say that there is no answer now.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeApi } from '../../operator/controller/kube-api.ts';
import { Authority } from '../cluster/pki.ts';

let directory: string;
let server: Server;
let api: KubeApi;
let answer: (response: ServerResponse) => void;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-kube-api-'));
  const authority = await Authority.open(directory);
  const pair = await authority.issue({ name: 'server', commonName: 'server', alternativeNames: ['IP:127.0.0.1'] });
  const [cert, key, ca] = await Promise.all([pair.certificate, pair.key, authority.certificate].map((file) => readFile(file)));
  server = createServer({ cert, key }, (_, response) => {
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  if (ca === undefined) throw new Error('no authority');
  api = new KubeApi({ server: `https://127.0.0.1:${String(port)}`, tls: { ca }, headers: () => ({}) }, { count: () => undefined });
});
afterAll(async () => {
  api.close();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

const says = (status: number) => (response: ServerResponse) => {
  response.writeHead(status).end(JSON.stringify({ kind: 'Status', message: 'the very words' }));
};
/** Headers and a part of the body, then nothing. */
const breaksOff = (status: number) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-length': '1000' });
  response.write('{"kind":', () => response.destroy());
};
async function watch(): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const line of api.lines('/watch', {}, new AbortController().signal)) lines.push(line);
  return lines;
}

describe('an answer', () => {
  test.each([400, 403, 404, 409, 422, 500])('%s is an outcome, in the words of the API server', async (status) => {
    answer = says(status);
    expect(await api.send('PATCH', '/object')).toEqual({ kind: 'refused', status, message: 'the very words' });
  });

  test.each([429, 502, 503, 504])('%s says that there is none now', async (status) => {
    answer = says(status);
    await expect(api.send('PATCH', '/object')).rejects.toMatchObject({ code: 'api_unavailable' });
  });

  test.each([200, 500])('%s that breaks off is none', async (status) => {
    answer = breaksOff(status);
    await expect(api.send('PATCH', '/object')).rejects.toMatchObject({ code: 'api_unavailable' });
  });
});

describe('a watch', () => {
  test.each([200, 403, 500])('with the answer %s that breaks off is interrupted', async (status) => {
    answer = breaksOff(status);
    await expect(watch()).rejects.toMatchObject({ code: 'api_unavailable' });
  });
});
