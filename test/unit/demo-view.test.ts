// What the demo says while it waits for its release: what is ready, and of each pod that waits why, in Kubernetes' words.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { observeRelease, type Progress } from '../demo/view.ts';
import { actingProgram, actingTarget } from '../lib/acting-program.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'demo-view-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function observed(...items: object[]): Promise<Progress> {
  const answer = `cat <<'END'\n${JSON.stringify({ items })}\nEND\n`;
  return observeRelease(actingTarget(await actingProgram(directory, { '"get "*': answer })), 'system');
}
const workload = (kind: string, name: string, readyReplicas?: number): object => ({
  kind,
  metadata: { name },
  spec: { replicas: 2 },
  status: { readyReplicas },
});
const pod = (name: string, status: object): object => ({ kind: 'Pod', metadata: { name }, spec: {}, status });
const waiting = (reason: string, message?: string): object => ({ containerStatuses: [{ state: { waiting: { reason, message } } }] });

describe('the release that is waited for', () => {
  test('is shown with the reasons of its waiting pods', async () => {
    const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' };
    const progress = await observed(
      workload('Deployment', 'operator'),
      pod('operator-a', waiting('ImagePullBackOff', 'Back-off pulling image "operator:0.1.0"')),
      pod('operator-b', waiting('ContainerCreating')),
      pod('nats-0', { conditions: [unscheduled] }),
      pod('nats-1', { conditions: [{ type: 'PodScheduled', status: 'True' }], containerStatuses: [{ state: { running: {} } }] }),
    );
    expect(progress).toEqual({
      lines: [
        'operator: 0 of 2 ready',
        '  operator-a: ImagePullBackOff: Back-off pulling image "operator:0.1.0"',
        '  operator-b: ContainerCreating',
        '  nats-0: Unschedulable: 0/1 nodes are available',
      ],
      done: false,
    });
  });

  test('is done when each part has a replica that is ready, whatever the others wait for', async () => {
    const parts = [workload('Deployment', 'operator', 1), workload('StatefulSet', 'nats', 1)];
    expect((await observed(...parts, pod('operator-b', waiting('ContainerCreating')))).done).toBe(true);
    expect((await observed(...parts, workload('StatefulSet', 'other'))).done).toBe(false);
  });
});
