// Components as daemons that outlive the command that started them: each in a session and a control group of its own, its output in a
// log. Whether one runs is asked of its control group (cgroup.ts), so that no file can name a wrong process.

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createDaemonGroup, daemonProcesses } from './cgroup.ts';
import { ClusterError } from './command.ts';
import type { Component } from './control-plane.ts';
import { logDirectory, stateDirectory } from './state.ts';

/** How long a program may take from fork to running its own code, in milliseconds. */
const startTimeoutMs = 20_000;
const pollMs = 10;
const quotedLog = 2000;

/** Joins its control group before it becomes the program, so that there is no moment at which the program is outside. */
const joinAndRun = 'echo $$ > "$0/cgroup.procs" && exec "$@"';

export function logPath(name: string): string {
  return join(logDirectory, `${name}.log`);
}

/** The process of the component; undefined when it does not run, whatever processes of its making do. */
export async function daemonProcess(component: Pick<Component, 'name' | 'program'>): Promise<number | undefined> {
  for (const pid of await daemonProcesses(component.name)) if ((await programOf(pid)) === basename(component.program)) return pid;
  return undefined;
}

/** Starts the component unless it runs, and says whether it did. Throws ClusterError when it does not come to run. */
export async function startDaemon(component: Component): Promise<boolean> {
  if ((await daemonProcess(component)) !== undefined) return false;
  const group = await createDaemonGroup(component.name);
  const entered = component.namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${component.namespace}`];
  const log = openSync(logPath(component.name), 'a');
  const child = spawn('sh', ['-c', joinAndRun, group, ...entered, component.program, ...component.args], {
    cwd: stateDirectory,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  const deadline = performance.now() + startTimeoutMs;
  // A program that could not be started at all has no process id, which the loop below sees.
  child.once('error', () => undefined);
  while ((await daemonProcess(component)) === undefined) {
    if (child.pid === undefined || child.exitCode !== null || performance.now() > deadline)
      throw new ClusterError(await failureOf(component));
    await delay(pollMs);
  }
  return true;
}

/** What to tell the user when the component has ended by itself; undefined while it runs. */
export async function daemonFailure(component: Component): Promise<string | undefined> {
  return (await daemonProcess(component)) === undefined ? failureOf(component) : undefined;
}

/** Since when the process runs. */
export async function startedAt(pid: number): Promise<Date> {
  return (await stat(`/proc/${String(pid)}`)).ctime;
}

async function failureOf(component: Component): Promise<string> {
  const log = await readFile(logPath(component.name), 'utf8').catch(() => '');
  return `${component.name} has ended. The end of ${logPath(component.name)}:\n${log.slice(-quotedLog)}`;
}

async function programOf(pid: number): Promise<string> {
  const path = await readlink(`/proc/${String(pid)}/exe`).catch(() => '');
  return basename(path.replace(/ \(deleted\)$/, ''));
}
