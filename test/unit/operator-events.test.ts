// Writing Events: repetitions are counted, a cluster has a budget, and nothing fails because of one.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { AppError } from '../../common/errors.ts';
import { EventRecorder } from '../../operator/controller/event-recorder.ts';
import type { Answer, RequestOptions } from '../../operator/controller/kube-api.ts';
import type { EventRecord } from '../../operator/core/event-record.ts';

const about = (uid = 'u1') => ({ metadata: { name: 'trading', namespace: 'desk', uid } });
const event = (message = 'it is so'): EventRecord => ({ type: 'Normal', reason: 'Sample', message });

function recorder(answer: () => Answer = () => ({ kind: 'ok', body: null })) {
  const sent: { method: string; path: string; body: Record<string, unknown> }[] = [];
  const api = {
    send: (method: string, path: string, options: RequestOptions = {}): Promise<Answer> => {
      sent.push({ method, path, body: options.body as Record<string, unknown> });
      return new Promise((resolve) => {
        resolve(answer());
      });
    },
  };
  return { sent, events: new EventRecorder(api, 'operator-0', pino({ level: 'silent' })) };
}

describe('the event recorder', () => {
  test('writes what happened, about whom, and who says so', async () => {
    const { sent, events } = recorder();
    await events.record(about(), event());
    expect(sent).toEqual([
      {
        method: 'POST',
        path: '/apis/events.k8s.io/v1/namespaces/desk/events',
        body: expect.objectContaining({
          reason: 'Sample',
          note: 'it is so',
          type: 'Normal',
          reportingInstance: 'operator-0',
          regarding: expect.objectContaining({ kind: 'ControlCluster', name: 'trading', uid: 'u1' }),
        }),
      },
    ]);
  });

  test('counts a repetition on the Event that is there', async () => {
    const { sent, events } = recorder();
    for (let at = 0; at < 3; at += 1) await events.record(about(), event());
    await events.record(about(), event('something else'));
    expect(sent.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'PATCH', 'POST']);
    expect(sent[2]?.body).toMatchObject({ series: { count: 3 } });
  });

  test('writes to the pod too when it is about one', async () => {
    const { sent, events } = recorder();
    await events.record(about(), { ...event(), pod: { name: 'trading-1', uid: 'p1' } });
    expect(sent.map(({ body }) => (body.regarding as { kind: string }).kind)).toEqual(['ControlCluster', 'Pod']);
  });

  test('stops at the budget of a cluster, and leaves that of others alone', async () => {
    const { sent, events } = recorder();
    for (let at = 0; at < 100; at += 1) await events.record(about(), event(String(at)));
    expect(sent).toHaveLength(25);
    await events.record(about('u2'), event());
    expect(sent).toHaveLength(26);
  });

  test.each([
    ['x', 1_024],
    ['…', 341],
  ])('cuts a note of %s to the bytes that the API server takes, and no character in two', async (letter, kept) => {
    const { sent, events } = recorder();
    await events.record(about(), event(letter.repeat(5_000)));
    expect(sent[0]?.body.note).toBe(letter.repeat(kept));
  });

  test.each<[string, () => Answer]>([
    ['is refused', () => ({ kind: 'refused', status: 403, message: 'no' })],
    [
      'cannot be sent',
      () => {
        throw new AppError('api_unavailable', 'cut');
      },
    ],
  ])('goes on when one %s, and writes the next anew', async (_, answer) => {
    const { sent, events } = recorder(answer);
    await events.record(about(), event());
    await events.record(about(), event());
    expect(sent.map(({ method }) => method)).toEqual(['POST', 'POST']);
  });
});
