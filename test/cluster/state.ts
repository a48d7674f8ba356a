// Where the bundled cluster keeps what it has, who owns it, and the lock that lets only one command change it at a time. One cluster a
// machine: addresses and names are fixed, so that leftovers of any earlier run are known by name. The lock is an abstract socket:
// the kernel frees it when its holder dies.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { ClusterError } from './command.ts';

export const stateDirectory = '/var/lib/controlcluster-cluster';
export const logDirectory = join(stateDirectory, 'logs');
export const kubeconfigPath = join(stateDirectory, 'admin.kubeconfig');
export const maximumNodes = 9;

/** The checkout that this program is part of. */
export const checkout = resolve(import.meta.dirname, '..', '..');

const lockAddress = '\0controlcluster-bundled-cluster';
const stateFile = join(stateDirectory, 'state.json');

const schema = z.object({
  /** Absolute path of the checkout whose command made the cluster. */
  owner: z.string(),
  nodes: z.number().int().min(1).max(maximumNodes),
  /** `Starting` until the first `up` has gone through; what is left of a start that did not is not repaired but removed. */
  phase: z.enum(['Starting', 'Running']),
  /** The archives that the nodes hold: reference to key. */
  images: z.record(z.string(), z.string()),
  /** Kernel settings as they were before the kubelets changed them. */
  kernel: z.record(z.string(), z.string()),
});

export type ClusterState = z.infer<typeof schema>;

/** The state of the cluster on this machine; undefined when there is none, or it cannot be read, which then counts as leftovers. */
export async function readState(): Promise<ClusterState | undefined> {
  const text = await readFile(stateFile, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function writeState(state: ClusterState): Promise<void> {
  await mkdir(stateDirectory, { recursive: true, mode: 0o711 });
  await writeFile(`${stateFile}.new`, JSON.stringify(state, null, 2));
  await rename(`${stateFile}.new`, stateFile);
}

/** Throws ClusterError when there is no cluster that is up. */
export async function requireState(): Promise<ClusterState> {
  const state = await readState();
  if (state === undefined) throw new ClusterError('There is no cluster on this machine. `npm run cluster -- up` makes one.');
  return state;
}

/** Runs the work while no other command changes the cluster. Throws ClusterError when one is at it. */
export async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  const lock = await new Promise<Server>((accept, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      reject(
        new ClusterError('Another command is changing the cluster on this machine at the moment; try again when it has ended.', error),
      );
    });
    server.listen(lockAddress, () => {
      accept(server);
    });
  });
  try {
    return await work();
  } finally {
    lock.close();
  }
}
