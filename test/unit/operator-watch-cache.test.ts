// The cache of one kind: list, watch, breaks, and answers to own writes.
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { AppError } from '../../common/errors.ts';
import type { Answer } from '../../operator/controller/kube-api.ts';
import { podKind } from '../../operator/controller/resource-kind.ts';
import { WatchCache } from '../../operator/controller/watch-cache.ts';
import type { KubeObject } from '../../operator/core/observed.ts';
import { eventually } from '../lib/eventually.ts';

const pod = (name: string, resourceVersion: string, cluster = 'trading'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'desk', resourceVersion, labels: { cluster } },
});

/** An API server that lists what the test says, and whose watches the test feeds and breaks. */
class FakeApiServer {
  items: KubeObject[] = [];
  resourceVersion = '10';
  readonly lists: string[] = [];
  readonly watches: string[] = [];
  #feed: { readonly push: (line: unknown) => void; readonly break: (error: Error | null) => void } | null = null;

  send(_method: string, path: string): Promise<Answer> {
    this.lists.push(path);
    const items = this.items.map(({ metadata }) => ({ metadata }));
    return Promise.resolve({ kind: 'ok', body: { metadata: { resourceVersion: this.resourceVersion }, items } });
  }

  async *lines(_path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<unknown, void> {
    const queue: unknown[] = [];
    let wake = Promise.withResolvers<undefined>();
    let ended: Error | null | undefined;
    const end = (error: Error | null): void => {
      ended = error;
      wake.resolve(undefined);
    };
    this.#feed = {
      push: (line) => {
        queue.push(line);
        wake.resolve(undefined);
      },
      break: end,
    };
    signal.addEventListener('abort', () => {
      end(null);
    });
    this.watches.push(query.resourceVersion ?? '');
    for (;;) {
      while (queue.length > 0) yield queue.shift();
      if (ended instanceof Error) throw ended;
      if (ended === null) return;
      await wake.promise;
      wake = Promise.withResolvers<undefined>();
    }
  }

  push(type: string, object: object): void {
    this.#feed?.push({ type, object });
  }

  break(error: Error | null): void {
    this.#feed?.break(error);
  }
}

function started(items: KubeObject[]) {
  const server = new FakeApiServer();
  server.items = items;
  const changes: string[] = [];
  let resumed = 0;
  const cache = new WatchCache(
    server,
    {
      kind: podKind,
      group: ({ metadata }) => metadata.labels?.cluster ?? '',
      onChange: (object, before, group) => {
        const what = object === null ? 'gone' : before === null ? 'new' : 'changed';
        changes.push(`${what} ${(object ?? before)?.metadata.name ?? ''} of ${group}`);
      },
      onResumed: () => {
        resumed += 1;
      },
    },
    pino({ level: 'silent' }),
  );
  const names = (group = 'trading') => cache.of(group).map(({ metadata }) => metadata.name);
  return { server, cache, changes, names, resumed: () => resumed };
}

const broken = new AppError('api_unavailable', 'cut');

describe('the watch cache', () => {
  test('lists once, then follows the watch', async () => {
    const { server, cache, changes, names } = started([pod('a', '3')]);
    await cache.start();
    await eventually(() => {
      expect(server.watches).toEqual(['10']);
    });
    server.push('ADDED', pod('b', '11'));
    server.push('MODIFIED', pod('a', '12'));
    server.push('BOOKMARK', pod('', '20'));
    server.push('DELETED', pod('b', '21'));
    await eventually(() => {
      expect(changes).toEqual(['new a of trading', 'new b of trading', 'changed a of trading', 'gone b of trading']);
    });
    expect(names()).toEqual(['a']);
    expect(server.lists).toHaveLength(1);
    await cache.stop();
  });

  test('files a changed object under its new cluster, and tells the old one', async () => {
    const { server, cache, changes, names } = started([pod('a', '3')]);
    await cache.start();
    server.push('MODIFIED', pod('a', '11', 'orders'));
    await eventually(() => {
      expect(changes).toContain('gone a of trading');
    });
    expect([names('trading'), names('orders')]).toEqual([[], ['a']]);
    await cache.stop();
  });

  test('goes on from where it was after a break, and tells of the break before the news', async () => {
    const { server, cache, changes, resumed } = started([pod('a', '3')]);
    await cache.start();
    server.push('MODIFIED', pod('a', '11'));
    await eventually(() => {
      expect(changes).toHaveLength(2);
    });
    server.break(broken);
    await eventually(() => {
      expect(server.watches).toEqual(['10', '11']);
    });
    expect(resumed()).toBe(0);
    server.push('MODIFIED', pod('a', '12'));
    await eventually(() => {
      expect(resumed()).toBe(1);
      expect(changes).toHaveLength(3);
    });
    expect(server.lists).toHaveLength(1);
    await cache.stop();
  });

  test('lists again when the API server has forgotten where it was, and finds what went meanwhile', async () => {
    const { server, cache, changes, names } = started([pod('a', '3'), pod('b', '4')]);
    await cache.start();
    server.items = [pod('b', '30'), pod('c', '31')];
    server.resourceVersion = '40';
    server.push('ERROR', { kind: 'Status', code: 410, metadata: {} });
    await eventually(() => {
      expect(server.watches).toEqual(['10', '40']);
    });
    expect(names().toSorted()).toEqual(['b', 'c']);
    expect(changes.slice(2)).toEqual(['gone a of trading', 'changed b of trading', 'new c of trading']);
    await cache.stop();
  });

  test('counts an error in the watch as a break: it waits longer each time, and lists again after the third', async () => {
    const { server, cache } = started([pod('a', '3')]);
    await cache.start();
    server.resourceVersion = '40';
    for (let at = 1; at <= 3; at += 1) {
      await eventually(() => {
        expect(server.watches).toHaveLength(at);
      }, 4_000);
      server.push('ERROR', { kind: 'Status', code: 500, message: 'etcdserver: no leader', metadata: {} });
    }
    await eventually(() => {
      expect(server.lists).toHaveLength(2);
    }, 4_500);
    await cache.stop();
  }, 15_000);

  test('takes the answer to a write ahead of the watch, and no older news after it', async () => {
    const { server, cache, changes, names } = started([pod('a', '3')]);
    await cache.start();
    cache.refresh(pod('a', '100'));
    cache.refresh(pod('unknown', '100'));
    server.push('MODIFIED', pod('a', '99'));
    server.push('ADDED', pod('b', '101'));
    await eventually(() => {
      expect(names()).toEqual(['a', 'b']);
    });
    expect(changes).toEqual(['new a of trading', 'changed a of trading', 'new b of trading']);
    expect(cache.of('trading')[0]?.metadata.resourceVersion).toBe('100');
    await cache.stop();
  });
});
