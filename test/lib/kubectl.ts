// kubectl and helm at the bundled cluster, as a person at a terminal has them.
import { stringify } from 'yaml';
import { binary } from '../cluster/build.ts';
import { attempt, run, type CommandResult } from '../cluster/command.ts';
import { kubeconfigPath } from '../cluster/state.ts';

/** Standard output; `input` goes in as a manifest. Throws ClusterError with kubectl's words when it fails. */
export async function kubectl(args: readonly string[], input?: unknown): Promise<string> {
  const program = await binary('kubectl');
  return run(program, ['--kubeconfig', kubeconfigPath, ...args], input === undefined ? {} : { input: stringify(input) });
}

export async function attemptKubectl(args: readonly string[]): Promise<CommandResult> {
  return attempt(await binary('kubectl'), ['--kubeconfig', kubeconfigPath, ...args]);
}

/** What `kubectl get … -o json` answers. */
export async function getJson<T>(args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl(['get', ...args, '--output', 'json'])) as T;
}

export async function helm(args: readonly string[]): Promise<string> {
  return run(await binary('helm'), ['--kubeconfig', kubeconfigPath, ...args]);
}
