// `npm run demo`: a Kubernetes, the operator by Helm, the example, and a write that is read back elsewhere, with the commands to go on.
// `npm run demo -- down` removes what it made. Can be run again at any time; changes no cluster but the one that it names first.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ClusterError } from '../cluster/command.ts';
import { checkout } from '../cluster/state.ts';
import { answerMs } from './bounded.ts';
import { down } from './down.ts';
import { cluster, example, namespace, namespaceManifest, release } from './names.ts';
import { chooseTarget, helm, kubectl, prepareTarget, refuseForeignRelease, requireReachable, type Choice, type Target } from './target.ts';
import { observeCluster, observeRelease, readStatus, watchUntilDone } from './view.ts';

const container = 'control';
const recoveryNodes = 'topology.kubernetes.io/region=dr';
const waitMs = 10 * 60_000;
/** For the user's containers, once their members follow in sync. */
const containersMs = 2 * 60_000;

const usage = `npm run demo [-- [--context NAME] [--set KEY=VALUE]...]   installs and shows it
npm run demo -- down [--context NAME]                     removes it

  --context NAME   a context of your kubeconfig; otherwise kind, otherwise the bundled Kubernetes
  --set KEY=VALUE  a value of the chart, for example operator.image.repository=registry.example/operator`;

const heading = (text: string): void => {
  console.log(`\n== ${text}`);
};

async function install(choice: Choice, values: readonly string[]): Promise<Target> {
  heading(choice.why);
  const target = await prepareTarget(choice);
  await requireReachable(target);
  await refuseForeignRelease(target);
  heading(`helm install ${release}`);
  await kubectl(target, ['apply', '--filename', namespaceManifest]);
  const settings = [...target.values, ...values.flatMap((value) => ['--set', value])];
  await helm(
    target,
    ['upgrade', '--install', release, join(checkout, 'charts', 'controlcluster'), '--namespace', namespace, ...settings],
    waitMs,
  );
  await watchUntilDone(() => observeRelease(target, namespace), waitMs);
  return target;
}

async function makeCluster(target: Target): Promise<void> {
  heading('kubectl apply -f examples/trading.yaml');
  const startedMs = performance.now();
  await kubectl(target, ['apply', '--filename', example]);
  const recoveryNode = (await kubectl(target, ['get', 'nodes', '--selector', recoveryNodes, '--output', 'name'])) !== '';
  if (!recoveryNode) console.log(`No node is labelled ${recoveryNodes}, so the disaster-recovery replica finds no place.`);
  await watchUntilDone(() => observeCluster(target, cluster, recoveryNode), waitMs);
  console.log(`Ready ${((performance.now() - startedMs) / 1000).toFixed(1)} s after kubectl apply.\n`);
  console.log((await kubectl(target, ['get', 'controlcluster', cluster])).trimEnd());
}

/** Calls the Process API from inside the user's container, where no credentials are needed. */
async function call(target: Target, pod: string, method: string, path: string, value?: unknown): Promise<string> {
  const script = `
    const [, path, method, body] = process.argv;
    const response = await fetch(process.env.CONTROLCLUSTER_URL + path, { method, body, headers: body ? { 'content-type': 'application/json' } : {} });
    console.log(await response.text());
    process.exitCode = response.ok ? 0 : 1;`;
  const body = value === undefined ? [] : [JSON.stringify(value)];
  const command = ['node', '--input-type=module', '--eval', script, '--', path, method, ...body];
  return (await kubectl(target, ['exec', pod, '--container', container, '--', ...command])).trim();
}

async function writeAndRead(target: Target): Promise<void> {
  const status = await readStatus(target, cluster);
  const leader = status?.leader;
  const others = (status?.members ?? []).filter(({ ready, name }) => ready && name !== leader);
  const writer = others.find(({ role }) => role === 'follower');
  const reader = others.find(({ role }) => role === 'dr') ?? writer;
  if (writer === undefined || reader === undefined)
    throw new ClusterError(`There is no follower of ${leader ?? 'anyone'} to write through.`);
  // The member follows in sync; the user's container, which waited for that, starts now.
  const pods = [`pod/${writer.name}`, `pod/${reader.name}`];
  await kubectl(target, ['wait', '--for=condition=Ready', `--timeout=${String(containersMs / 1000)}s`, ...pods], containersMs + answerMs);
  heading(`A write through ${writer.name}, a follower; it passes it on to ${leader ?? 'the leader'}`);
  const written = await call(target, writer.name, 'PUT', '/v1/state/limits/EURUSD', { max: 5_000_000, by: 'demo' });
  console.log(`PUT /v1/state/limits/EURUSD {"max":5000000,"by":"demo"}\n${written}`);
  const { uid } = JSON.parse(written) as { uid: number };
  heading(`The same on ${reader.name}, ${reader.role === 'dr' ? 'which only ever follows' : 'from its own memory'}`);
  const path = `/v1/state/limits/EURUSD?minUid=${String(uid)}`;
  console.log(`GET ${path}\n${await call(target, reader.name, 'GET', path)}`);
}

function suggest(target: Target): void {
  const explained = [
    [`kubectl get controlcluster ${cluster} --watch`, 'who leads, how far the log is'],
    [`kubectl logs ${cluster}-0 --container ${container} --follow`, 'what the example does'],
    [`kubectl delete pod ${cluster}-0`, 'another member leads at once'],
    [`kubectl describe controlcluster ${cluster}`, 'what happened, and why'],
    ['kubectl explain controlcluster.spec', 'what can be set'],
    [target.down, 'removes all of it'],
  ] as const;
  const width = Math.max(...explained.map(([command]) => command.length));
  const commands = [...target.shell, ...explained.map(([command, effect]) => `${command.padEnd(width)}  # ${effect}`)];
  heading('Next');
  console.log(commands.map((command) => `  ${command}`).join('\n'));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { context: { type: 'string' }, set: { type: 'string', multiple: true }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(usage);
    return;
  }
  if (positionals.length === 1 && positionals[0] === 'down') {
    await down(values.context);
    return;
  }
  if (positionals.length > 0) throw new ClusterError(usage);
  const target = await install(await chooseTarget(values.context), values.set ?? []);
  await makeCluster(target);
  await writeAndRead(target);
  suggest(target);
}

try {
  await main();
} catch (error) {
  const expected = error instanceof ClusterError || (error instanceof TypeError && 'code' in error);
  if (!expected) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
