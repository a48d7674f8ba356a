// A real API server with the CustomResourceDefinition in it, for one test file, and kubectl to talk to it as a user does.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binary } from '../cluster/build.ts';
import { attempt, run } from '../cluster/command.ts';
import type { CommandResult } from '../cluster/command.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import { manifestPath } from '../../common/crd/manifest.ts';
import { group, plural } from '../../common/names.ts';

export interface ApiServer {
  /** Path of a kubeconfig with all rights. */
  readonly kubeconfig: string;
  /** One line of JSON for each request. */
  readonly auditLog: string;
  /** Runs kubectl; `input` is sent as JSON to its standard input. Does not throw when kubectl fails. */
  kubectl(args: readonly string[], input?: unknown): Promise<CommandResult>;
  /** It keeps its connections and answers nothing, until it is thawed. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** `controllers` adds the controller manager and the scheduler: StatefulSets get pods, what has lost its owner goes. */
export async function startApiServer({ controllers = false } = {}): Promise<ApiServer> {
  const directory = await mkdtemp(join(tmpdir(), 'controlcluster-api-'));
  const program = await binary('kubectl');
  const plane = await startControlPlane({ directory, controllers });
  const withConfig = (args: readonly string[]): string[] => [`--kubeconfig=${plane.kubeconfig}`, ...args];
  const stop = async (): Promise<void> => {
    await plane.stop();
    await rm(directory, { recursive: true });
  };
  try {
    await run(program, withConfig(['apply', '--server-side', '-f', fileURLToPath(new URL(`../../${manifestPath}`, import.meta.url))]));
    await run(program, withConfig(['wait', '--for=condition=Established', '--timeout=30s', `crd/${plural}.${group}`]));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    kubeconfig: plane.kubeconfig,
    auditLog: plane.auditLog,
    kubectl: (args, input) => attempt(program, withConfig(args), input === undefined ? {} : { input: JSON.stringify(input) }),
    freeze: () => {
      plane.freeze();
    },
    thaw: () => {
      plane.thaw();
    },
    stop,
  };
}
