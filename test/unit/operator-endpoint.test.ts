// Where the API server is: kubeconfigs with data, with files, with a token; the account of a pod; and what is missing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AppError } from '../../common/errors.ts';
import { kubeEndpoint } from '../../operator/controller/kube-endpoint.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'controlcluster-endpoint-'));
  for (const name of ['ca.crt', 'me.crt', 'me.key']) await writeFile(join(directory, name), name);
});
afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function endpoint(cluster: object, user: object, current = 'here') {
  const file = join(directory, 'config');
  const config = {
    contexts: [
      { name: 'other', context: { cluster: 'other', user: 'other' } },
      { name: 'here', context: { cluster: 'mine', user: 'me' } },
    ],
    clusters: [{ name: 'mine', cluster: { server: 'https://api:6443', ...cluster } }],
    users: [{ name: 'me', user }],
    'current-context': current,
  };
  await writeFile(file, JSON.stringify(config));
  return kubeEndpoint({ KUBECONFIG: file });
}
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('the endpoint', () => {
  test('of a kubeconfig with data', async () => {
    const user = { 'client-certificate-data': base64('c'), 'client-key-data': base64('k') };
    const { server, tls, headers } = await endpoint({ 'certificate-authority-data': base64('a') }, user);
    expect(server).toBe('https://api:6443');
    expect([tls.ca, tls.cert, tls.key].map(String)).toEqual(['a', 'c', 'k']);
    expect(headers()).toEqual({});
  });

  test('of a kubeconfig with files, named from where it is', async () => {
    const { tls } = await endpoint({ 'certificate-authority': 'ca.crt' }, { 'client-certificate': 'me.crt', 'client-key': 'me.key' });
    expect([tls.ca, tls.cert, tls.key].map(String)).toEqual(['ca.crt', 'me.crt', 'me.key']);
  });

  test('of a kubeconfig with a token', async () => {
    const { headers, tls } = await endpoint({ 'certificate-authority': 'ca.crt' }, { token: 'secret' });
    expect(headers()).toEqual({ authorization: 'Bearer secret' });
    expect(tls.cert).toBeUndefined();
  });

  test('is refused when something is missing, without a word of what is secret', async () => {
    await expect(endpoint({}, { token: 'secret' })).rejects.toThrow(AppError);
    await expect(endpoint({ 'certificate-authority': 'ca.crt' }, { token: 'secret' }, 'other')).rejects.toThrow(/no current context/);
    await expect(endpoint({}, { token: 'secret' })).rejects.not.toThrow(/secret/);
    expect(() => kubeEndpoint({})).toThrow(AppError);
  });
});
