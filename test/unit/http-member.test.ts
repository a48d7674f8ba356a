// Role, status, probes, metrics and the hand-over.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ProcessApi } from '../lib/process-api.ts';

let api: ProcessApi;
beforeAll(async () => {
  api = await ProcessApi.start();
});
afterAll(() => api.close());

describe('this member', () => {
  test('its role and status are told', async () => {
    await api.send('PUT', '/v1/state/a', 1);
    const role = { role: 'leader', phase: 'Leading', epoch: 3, leader: 'trading-0', uid: 1 };
    expect((await api.call('/v1/role')).json).toEqual(role);
    expect((await api.call('/v1/status')).json).toEqual({ role, ready: true, started: true, report: api.process.report() });
  });
});

describe('probes', () => {
  const status = async (path: string): Promise<number> => (await api.call(path)).status;

  test('all pass on a leader in sync', async () => {
    for (const path of ['/livez', '/readyz', '/startupz', '/leader']) expect(await status(path)).toBe(200);
  });

  test('I7: a member that waits lives, has not started, is not ready, and says why', async () => {
    api.process.isReady = false;
    api.process.isStarted = false;
    api.process.reason = { reason: 'NoRound', message: 'Waiting for trading-2.' };
    api.process.setRole({ role: 'none', phase: 'Waiting' });
    expect(await status('/livez')).toBe(200);
    expect(await status('/readyz')).toBe(503);
    expect(await status('/leader')).toBe(503);
    expect(await api.call('/startupz')).toMatchObject({
      status: 503,
      json: { ok: false, phase: 'Waiting', reason: 'NoRound', message: 'Waiting for trading-2.' },
    });
    expect((await api.call('/readyz', { method: 'HEAD' })).status).toBe(503);
  });

  test('a follower is ready and not the leader', async () => {
    api.process.isReady = true;
    api.process.setRole({ role: 'follower', phase: 'Following' });
    expect(await status('/readyz')).toBe(200);
    expect(await status('/leader')).toBe(503);
  });
});

describe('metrics', () => {
  test('tell UID, epoch, role, lag and requests by code', async () => {
    await api.call('/nowhere');
    const { text, headers } = await api.call('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(text).toMatch(/^controlcluster_uid 1$/m);
    expect(text).toMatch(/^controlcluster_epoch 3$/m);
    expect(text).toMatch(/^controlcluster_lag_changes 0$/m);
    expect(text).toMatch(/^controlcluster_role\{role="follower"\} 1$/m);
    expect(text).toMatch(/^controlcluster_role\{role="leader"\} 0$/m);
    expect(text).toMatch(/^controlcluster_http_requests_total\{code="404"\} 1$/m);
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  });
});

describe('hand-over', () => {
  const runHook = async (port: number): Promise<number | null> => {
    const hook = spawn(process.execPath, ['sidecar/prestop.ts'], { env: { CC_PORT: String(port) }, stdio: 'ignore' });
    const [code] = (await once(hook, 'exit')) as [number | null];
    return code;
  };

  test('the preStop hook hands over and waits for it', async () => {
    expect(await runHook(api.port)).toBe(0);
    expect(api.process.handOvers).toBe(1);
  });

  test('the hook fails when no sidecar answers', async () => {
    const closed = await ProcessApi.start();
    await closed.close();
    expect(await runHook(closed.port)).toBe(1);
  });

  test('is no GET: what merely fetches the address must not demote a leader', async () => {
    expect((await api.call('/prestop')).status).toBe(405);
    expect(api.process.handOvers).toBe(1);
  });
});
