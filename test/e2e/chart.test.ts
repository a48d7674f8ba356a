// `helm test` of the release: a ControlCluster of its own, written through one member and read through another.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { labels } from '../../common/names.ts';
import { installed, release, systemNamespace } from '../lib/installation.ts';
import { attemptKubectl, helm } from '../lib/kubectl.ts';

describe('the chart', () => {
  beforeAll(installed);
  afterAll(async () => {
    const claims = ['persistentvolumeclaims', '--selector', `${labels.cluster}=${release}-test`];
    await attemptKubectl(['--namespace', systemNamespace, 'delete', ...claims, '--wait=false']);
  });

  test('tests itself by a write through a live cluster', async () => {
    expect(await helm(['test', release, '--namespace', systemNamespace, '--timeout', '5m'])).toMatch(/Phase:\s+Succeeded/);
  });
});
