// The command `npm run cluster`: a real Kubernetes of several nodes on this machine, without Docker. Exit code 0 when what was asked for is so,
// 1 when it is not, with a sentence that says what to do; 2 for a command line that it does not understand.

import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { ClusterError } from './command.ts';
import { logPath } from './daemon.ts';
import { findArchive } from './image.ts';
import { cut, heal, nodeAddresses } from './network.ts';
import type { NodeAddress } from './network.ts';
import { requireRoot } from './prerequisites.ts';
import { exclusively, kubeconfigPath, maximumNodes, requireState } from './state.ts';
import { componentNames, status } from './status.ts';
import { leftovers, tearDown } from './teardown.ts';
import { build, defaultNodes, load, refuseForeign, runningState, up } from './up.ts';
import type { Outcome } from './up.ts';

const usage = `A real Kubernetes on this machine, for the demo and the tests. Needs Linux and root; needs no Docker.

  npm run cluster -- up [--nodes N]       bring it up (1 to ${String(maximumNodes)} nodes, ${String(defaultNodes)} by default); repairs one that lost a part
  npm run cluster -- down [--keep-logs DIRECTORY] [--verify] [--force]
                                          remove all of it; keep the logs first; fail when anything is left;
                                          also when it runs and another checkout owns it
  npm run cluster -- build                only make what the first \`up\` would have to make
  npm run cluster -- status               components and nodes; exit code 1 when one is not well
  npm run cluster -- kubeconfig           path of a kubeconfig with all rights
  npm run cluster -- load IMAGE           put an image on every node: the path of a docker archive, or a name that was built here
  npm run cluster -- cut NODE             take the node off the network; its containers run on
  npm run cluster -- heal NODE            put it back
  npm run cluster -- logs COMPONENT [--follow]
                                          for example kube-apiserver, kubelet-node1, or audit for the API server's audit log

The first \`up\` builds Kubernetes from source (about 15 minutes on two cores) and keeps it in ~/.cache/controlcluster.
`;

class UsageError extends Error {}

interface Options {
  readonly nodes?: string | undefined;
  readonly keepLogs?: string | undefined;
  readonly verify: boolean;
  readonly force: boolean;
  readonly follow: boolean;
}

type Command = (target: string | undefined, options: Options) => Promise<void>;

const commands: Readonly<Record<string, Command>> = {
  up: async (_, { nodes }) => {
    const count = nodes === undefined ? undefined : Number(nodes);
    if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= maximumNodes)) {
      throw new UsageError(`--nodes takes a number from 1 to ${String(maximumNodes)}.`);
    }
    print(`${described(await up(count))} Use it with:\n  export KUBECONFIG=${kubeconfigPath}`);
  },
  down: async (_, options) => {
    requireRoot();
    await exclusively(async () => {
      const state = await runningState();
      if (state !== undefined && !options.force) refuseForeign(state, 'down');
      await tearDown(options.keepLogs);
    });
    const left = options.verify ? await leftovers() : [];
    if (left.length > 0) throw new ClusterError(`Left behind:\n  ${left.join('\n  ')}`);
    print(options.verify ? 'The cluster is gone, and nothing of it is left.' : 'The cluster is gone.');
  },
  build: async () => {
    await build();
  },
  status: async () => {
    const { text, healthy } = await status();
    print(text);
    if (!healthy) process.exitCode = 1;
  },
  kubeconfig: async () => {
    await requireState();
    print(kubeconfigPath);
  },
  load: async (target) => {
    const reference = required(target, 'load takes an image.');
    await exclusively(async () => {
      const state = await requireState();
      refuseForeign(state, 'load');
      const archive = await findArchive(reference);
      if (archive === undefined)
        throw new ClusterError(`There is no archive ${reference}, nor was an image of that name built by the cluster's commands.`);
      await load(state, [archive], () => undefined);
    });
    print(`${reference} is on every node.`);
  },
  cut: async (target) => {
    await cut(await nodeNamed(target));
  },
  heal: async (target) => {
    await heal(await nodeNamed(target));
  },
  logs: async (target, { follow }) => {
    const names = await componentNames();
    const known = names.length === 0 ? 'There are none: no cluster has been started.' : `There are: ${names.join(', ')}.`;
    const name = required(target, `logs takes a component. ${known}`);
    if (!names.includes(name)) throw new ClusterError(`There is no log of ${name}. ${known}`);
    const child = spawn('tail', ['--lines=+1', ...(follow ? ['--follow=name'] : []), logPath(name)], { stdio: 'inherit' });
    await new Promise((resolve) => child.once('close', resolve));
  },
};

function described(outcome: Outcome): string {
  if (outcome.kind === 'Started') return 'The cluster is up.';
  const changes = [
    ...(outcome.restarted.length > 0 ? [`started ${outcome.restarted.join(', ')}`] : []),
    ...(outcome.loaded.length > 0 ? [`loaded ${outcome.loaded.join(', ')}`] : []),
  ];
  return `The cluster was up already; ${changes.length > 0 ? changes.join('; ') : 'nothing was missing'}.`;
}

async function nodeNamed(name: string | undefined): Promise<NodeAddress> {
  const state = await requireState();
  refuseForeign(state, 'cut or heal');
  const nodes = nodeAddresses(state.nodes);
  const list = nodes.map((node) => node.name).join(', ');
  const wanted = required(name, `This takes a node: ${list}.`);
  const node = nodes.find((candidate) => candidate.name === wanted);
  if (node === undefined) throw new ClusterError(`There is no node ${wanted}. There are: ${list}.`);
  return node;
}

function required(value: string | undefined, message: string): string {
  if (value === undefined) throw new UsageError(message);
  return value;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [name, target, ...rest] = positionals;
  if (values.help || name === undefined) {
    print(usage);
    if (!values.help) process.exitCode = 2;
    return;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined || rest.length > 0)
    throw new UsageError(command === undefined ? `There is no command ${name}.` : 'Too many arguments.');
  await command(target, { ...values, keepLogs: values['keep-logs'] });
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        nodes: { type: 'string' },
        'keep-logs': { type: 'string' },
        verify: { type: 'boolean', default: false },
        force: { type: 'boolean', default: false },
        follow: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
  } else if (error instanceof ClusterError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
