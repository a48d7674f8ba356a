// Runs programs that ask a cluster or a daemon and may never get an answer: each has a limit, after which it is killed.
import { execFile } from 'node:child_process';
import { ClusterError, type CommandResult } from '../cluster/command.ts';

/** One question to a cluster, to kind or to Docker. */
export const answerMs = 30_000;
/** Exit code of a program that was killed at its limit, as timeout(1) has it. */
export const limitExitCode = 124;
const maxOutputBytes = 64 * 1024 * 1024;

/** Returns the exit code, whatever it is. Throws ClusterError when the program cannot be started or says more than anyone would read. */
export async function attemptWithin(limitMs: number, program: string, args: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const options = { timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === 'string') reject(new ClusterError(`${program} cannot be run: ${error.message}`, error));
      else if (error.killed === true) resolve({ code: limitExitCode, stdout, stderr: `${stderr}${limitWords(limitMs)}` });
      else resolve({ code: error.code ?? 128, stdout, stderr });
    });
    // Who asks for a password gets none, instead of waiting for it.
    child.stdin?.end();
  });
}

const limitWords = (limitMs: number): string => `It had not ended after ${String(limitMs / 1000)} s and was killed.`;

/** Standard output. Throws ClusterError with the program's words when it fails. */
export async function runWithin(limitMs: number, program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await attemptWithin(limitMs, program, args);
  if (code === 0) return stdout;
  const words = (stderr.trim() === '' ? stdout : stderr).trim();
  throw new ClusterError(`\`${[program, ...args].join(' ')}\` failed with exit code ${String(code)}:\n${words}`);
}
