// Processes in the containers of the bundled cluster, found from outside: all its nodes are on this machine.
import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the processes that run `program`, a part of the command line, with all of these variables in their environment. */
export function containerProcesses(program: string, environment: Readonly<Record<string, string>>): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && runs(entry, program, environment))
    .map(Number);
}

/** Memory of the process that is in RAM, in MiB. */
export function residentMiB(pid: number): number {
  const [, kiB = 'NaN'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8')) ?? [];
  return Number(kiB) / 1024;
}

function runs(pid: string, program: string, environment: Readonly<Record<string, string>>): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(program)) return false;
    const present = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return Object.entries(environment).every(([name, value]) => present.includes(`${name}=${value}`));
  } catch {
    // The process has ended meanwhile.
    return false;
  }
}
