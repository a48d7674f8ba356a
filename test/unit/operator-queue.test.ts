// The work queue: one run of a key at a time, many askings made one, failures retried later and later.
import { describe, expect, test } from '@jest/globals';
import { WorkQueue } from '../../operator/controller/work-queue.ts';
import { eventually } from '../lib/eventually.ts';

/** A queue whose work is held until the test lets it go. */
function held() {
  const runs: { key: string; end: (error?: Error) => void }[] = [];
  const failures: number[] = [];
  const queue = new WorkQueue(
    (key) =>
      new Promise((resolve, reject) => {
        runs.push({
          key,
          end: (error) => {
            if (error === undefined) resolve();
            else reject(error);
          },
        });
      }),
    (_key, _error, retryInMs) => failures.push(retryInMs),
  );
  return { queue, runs, failures, end: (at: number, error?: Error) => runs[at]?.end(error) };
}
const keysOf = (runs: readonly { key: string }[]) => runs.map(({ key }) => key);

describe('the work queue', () => {
  test('collects keys until it is started', async () => {
    const { queue, runs, end } = held();
    queue.add('a');
    queue.add('b', 1);
    queue.start();
    await eventually(() => {
      expect(keysOf(runs).toSorted()).toEqual(['a', 'b']);
    });
    end(0);
    end(1);
    await queue.stop();
  });

  test('makes many askings one, and asks again once when asked during a run', async () => {
    const { queue, runs, end } = held();
    queue.start();
    for (let at = 0; at < 10; at += 1) queue.add('a', 5);
    await eventually(() => {
      expect(runs).toHaveLength(1);
    });
    for (let at = 0; at < 10; at += 1) queue.add('a');
    // `b` was asked for later and runs meanwhile: `a` is not run beside itself.
    queue.add('b');
    await eventually(() => {
      expect(keysOf(runs)).toEqual(['a', 'b']);
    });
    end(0);
    await eventually(() => {
      expect(keysOf(runs)).toEqual(['a', 'b', 'a']);
    });
    end(1);
    end(2);
    queue.add('c');
    await eventually(() => {
      expect(keysOf(runs)).toEqual(['a', 'b', 'a', 'c']);
    });
    end(3);
    await queue.stop();
  });

  test('takes the earlier of two times', async () => {
    const { queue, runs, end } = held();
    queue.start();
    queue.add('a', 60_000);
    queue.add('a', 1);
    queue.add('a', 60_000);
    await eventually(() => {
      expect(runs).toHaveLength(1);
    });
    end(0);
    await queue.stop();
  });

  test('waits, however far the time is', async () => {
    const { queue, runs } = held();
    queue.start();
    queue.add('a', 1_000 * 3_600_000);
    queue.add('b', Number.POSITIVE_INFINITY);
    queue.add('c', 50);
    await eventually(() => {
      expect(keysOf(runs)).toContain('c');
    });
    expect(keysOf(runs)).toEqual(['c']);
    runs[0]?.end();
    await queue.stop();
  });

  test('runs a bounded number of keys at once', async () => {
    const { queue, runs, end } = held();
    queue.start();
    for (const key of 'abcdef') queue.add(key);
    await eventually(() => {
      expect(runs).toHaveLength(4);
    });
    end(0);
    await eventually(() => {
      expect(runs).toHaveLength(5);
    });
    expect(new Set(keysOf(runs)).size).toBe(5);
    for (let at = 1; at < 6; at += 1) {
      await eventually(() => {
        expect(runs.length).toBeGreaterThan(at);
      });
      end(at);
    }
    await queue.stop();
  });

  test('retries what failed, later each time, and forgets that after a success', async () => {
    const { queue, runs, failures, end } = held();
    queue.start();
    queue.add('a');
    for (let at = 0; at < 2; at += 1) {
      await eventually(() => {
        expect(runs).toHaveLength(at + 1);
      });
      end(at, new Error('no'));
    }
    await eventually(() => {
      expect(runs).toHaveLength(3);
    });
    expect(failures).toEqual([250, 500]);
    end(2);
    queue.add('a', 1);
    await eventually(() => {
      expect(runs).toHaveLength(4);
    });
    end(3, new Error('no'));
    await eventually(() => {
      expect(failures).toEqual([250, 500, 250]);
    });
    await queue.stop();
  });

  test('stops when what is under way has ended, and starts nothing more', async () => {
    const { queue, runs, end } = held();
    queue.start();
    queue.add('a');
    await eventually(() => {
      expect(runs).toHaveLength(1);
    });
    queue.add('a');
    let stopped = false;
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    await Promise.resolve();
    expect(stopped).toBe(false);
    end(0);
    await stopping;
    queue.add('b');
    expect(runs).toHaveLength(1);
  });
});
