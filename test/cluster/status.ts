// What runs of the bundled cluster, as two tables: the components with their processes, and the nodes as the API server sees them. It looks and
// changes nothing.

import { readdir } from 'node:fs/promises';
import { attempt } from './command.ts';
import { binary } from './build.ts';
import { daemonProcess, startedAt } from './daemon.ts';
import { isCut, nodeAddresses } from './network.ts';
import { kubeconfigPath, logDirectory, requireState } from './state.ts';

/** Names of the components that exist, for `logs`: every one that has a log. */
export async function componentNames(): Promise<string[]> {
  const files = await readdir(logDirectory).catch(() => []);
  return files.filter((name) => name.endsWith('.log') && !/^audit-/.test(name)).map((name) => name.replace(/\.log$/, ''));
}

/** The text of `status`. Throws ClusterError when there is no cluster. */
export async function status(): Promise<{ text: string; healthy: boolean }> {
  const state = await requireState();
  const components = [['COMPONENT', 'STATE', 'PID', 'SINCE']];
  let healthy = state.phase === 'Running';
  for (const name of (await componentNames()).filter((component) => component !== 'audit')) {
    const pid = await daemonProcess({ name, program: name.replace(/-node\d$/, '') });
    healthy &&= pid !== undefined;
    const since = pid === undefined ? '' : (await startedAt(pid)).toISOString();
    components.push([name, pid === undefined ? 'stopped' : 'running', pid === undefined ? '' : String(pid), since]);
  }
  const nodes = [['NODE', 'READY', 'REGION', 'NETWORK', 'ADDRESS']];
  const seen = await readNodes();
  for (const node of nodeAddresses(state.nodes)) {
    const [ready = 'Unknown', region = ''] = seen.get(node.name) ?? [];
    const cut = await isCut(node);
    healthy &&= ready === 'True' && !cut;
    nodes.push([node.name, ready, region, cut ? 'cut' : 'connected', node.address]);
  }
  const heading = `phase: ${state.phase}\nowner: ${state.owner}\nkubeconfig: ${kubeconfigPath}`;
  return { text: [heading, table(components), table(nodes)].join('\n\n'), healthy };
}

async function readNodes(): Promise<Map<string, string[]>> {
  const columns =
    '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.metadata.labels.topology\\.kubernetes\\.io/region}{"\\n"}{end}';
  const args = ['--kubeconfig', kubeconfigPath, '--request-timeout=3s', 'get', 'nodes', '-o', `jsonpath=${columns}`];
  const { stdout } = await attempt(await binary('kubectl'), args);
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [name = '', ...rest] = line.split(' ');
        return [name, rest];
      }),
  );
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
