// /v1/watch and /v1/events: server-sent events.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EventSource } from '../lib/event-source.ts';
import { eventually } from '../lib/eventually.ts';
import { ProcessApi } from '../lib/process-api.ts';

const heartbeatMs = 40;
let api: ProcessApi;
const sources: EventSource[] = [];
beforeEach(async () => {
  api = await ProcessApi.start({ heartbeatMs, watchers: 3, watcherBytes: 64 * 1024, slowWatcherMs: 100 });
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.close();
  await api.close();
});

async function open(path: string, lastEventId?: number): Promise<EventSource> {
  const source = await EventSource.open(api, path, lastEventId === undefined ? {} : { headers: { 'last-event-id': String(lastEventId) } });
  sources.push(source);
  return source;
}
const write = (key: string, value: string | number = 1) => api.process.submit({ operations: [{ put: { key, value } }] });
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('watch', () => {
  test('sends what there is from a UID on, then each change as it comes, none left out', async () => {
    for (const n of range(1, 200)) await write('k', n);
    const source = await open('/v1/watch?fromUid=3');
    expect(source.response.headers['content-type']).toBe('text/event-stream');
    for (const n of range(201, 220)) await write('k', n);
    await eventually(() => {
      expect(source.ids('change')).toEqual(range(3, 220));
    });
    expect(source.events[0]?.data).toEqual({ operations: [{ put: { key: 'k', value: 3 } }], uid: 3, epoch: 3, timeMs: 1_700_000_000_003 });
  });

  test('begins with the next change when nothing else is asked', async () => {
    await write('k');
    const source = await open('/v1/watch');
    await write('k');
    await eventually(() => {
      expect(source.ids('change')).toEqual([2]);
    });
  });

  test('resumes after Last-Event-ID, which goes before fromUid', async () => {
    for (const n of range(1, 5)) await write('k', n);
    const source = await open('/v1/watch?fromUid=1', 3);
    const all = await open('/v1/watch?fromUid=4', 0);
    await eventually(() => {
      expect(source.ids('change')).toEqual([4, 5]);
      expect(all.ids('change')).toEqual(range(1, 5));
    });
  });

  test('a prefix leaves changes out, but ids go on by progress events', async () => {
    await write('a/1');
    const source = await open('/v1/watch?fromUid=1&prefix=a/');
    await write('b/1');
    await write('b/2');
    await eventually(() => {
      expect(source.ids('change')).toEqual([1]);
      expect(source.ids('progress')).toContain(3);
    });
    await api.process.submit({ operations: [{ delete: { key: 'b/1' } }, { append: { topic: 'a/topic', value: 1 } }] });
    await write('b/3');
    await eventually(() => {
      expect(source.ids('change')).toEqual([1, 4]);
      expect(source.ids('progress').at(-1)).toBe(5);
    });
  });

  test('shows by comments that it lives when there is nothing to tell', async () => {
    const source = await open('/v1/watch');
    await eventually(() => {
      expect(source.comments).toBeGreaterThan(1);
    });
    expect(source.events).toEqual([]);
  });

  test('is refused with 410 below what was compacted, and with 503 above what this member has', async () => {
    for (const n of range(1, 10)) await write('k', n);
    api.process.firstUid = 5;
    expect((await api.call('/v1/watch?fromUid=4')).json).toMatchObject({ code: 'compacted' });
    expect((await api.call('/v1/watch?fromUid=12')).json).toMatchObject({ code: 'not_in_sync' });
    expect((await open('/v1/watch?fromUid=11')).response.statusCode).toBe(200);
  });

  test('compaction in front of a watcher ends its stream with a problem', async () => {
    const source = await open('/v1/watch?fromUid=1');
    api.process.firstUid = 10;
    await write('k');
    await eventually(() => {
      expect(source.isEnded).toBe(true);
    });
    expect(source.events).toMatchObject([{ event: 'problem', data: { code: 'compacted' } }]);
  });

  test('a rewound log ends the stream: the UIDs that come next are other changes', async () => {
    for (const n of range(1, 5)) await write('k', n);
    const source = await open('/v1/watch?fromUid=1');
    await eventually(() => {
      expect(source.ids('change')).toHaveLength(5);
    });
    api.process.rewind(2);
    await eventually(() => {
      expect(source.isEnded).toBe(true);
    });
  });

  test('I10: a watcher that does not read is closed and keeps nothing; others go on', async () => {
    const slow = await open('/v1/watch?fromUid=1');
    const quick = await open('/v1/watch?fromUid=1');
    slow.response.pause();
    for (const n of range(1, 60)) {
      await write('k', 'v'.repeat(200_000) + String(n));
      // The other one reads: it is not outrun.
      await eventually(() => {
        expect(quick.ids('change')).toHaveLength(n);
      });
    }
    await eventually(() => {
      expect(api.logged.join('')).toContain('slow watcher closed');
      expect(api.process.listenerCount).toBe(1);
    });
    expect(quick.ids('change')).toEqual(range(1, 60));
    slow.response.resume();
    await eventually(() => {
      expect(slow.isEnded).toBe(true);
    });
    // Cut, not ended after all that waited.
    expect(slow.response.complete).toBe(false);
  });

  test('I10: more watchers than the limit are refused by name; one that leaves makes room', async () => {
    const [first] = [await open('/v1/watch'), await open('/v1/watch'), await open('/v1/events')];
    const refused = await api.call('/v1/watch');
    expect(refused).toMatchObject({ status: 503, json: { code: 'too_many_watchers' }, headers: { 'retry-after': '1' } });
    first.close();
    await eventually(async () => {
      expect((await open('/v1/watch')).response.statusCode).toBe(200);
    });
  });

  test('ends when the server closes, with all that was sent delivered', async () => {
    await write('k');
    const source = await open('/v1/watch?fromUid=1');
    await eventually(() => {
      expect(source.ids('change')).toEqual([1]);
    });
    await api.close();
    await eventually(() => {
      expect(source.isEnded).toBe(true);
    });
    expect(api.process.listenerCount).toBe(0);
  });

  test.each(['fromUid=0', 'fromUid=x', 'fromUid=9007199254740991', 'prefix=%zz', 'since=1'])('refuses %s', async (query) => {
    expect((await api.call(`/v1/watch?${query}`)).status).toBe(400);
  });

  test.each(['', 'x', '-1', '1.5', '99999999999999999'])('refuses Last-Event-ID %j', async (id) => {
    expect((await api.call('/v1/watch', { headers: { 'last-event-id': id } })).status).toBe(400);
  });
});

describe('events', () => {
  test('tell the role now and each change of it, and not each change of the state', async () => {
    const source = await open('/v1/events');
    await write('k');
    api.process.setRole({ role: 'follower', phase: 'Following', leader: 'trading-1', epoch: 4 });
    await eventually(() => {
      expect(source.events.map(({ data }) => data)).toEqual([
        { role: 'leader', phase: 'Leading', epoch: 3, leader: 'trading-0', uid: 0 },
        { role: 'follower', phase: 'Following', epoch: 4, leader: 'trading-1', uid: 1 },
      ]);
    });
    source.close();
    await eventually(() => {
      expect(api.process.listenerCount).toBe(0);
    });
  });
});
