// Runs other programs and waits for them. A failure carries the command, its exit and the end of what it said, so that the person who
// reads it can act. It does not start daemons (daemon.ts) nor children of a test (control-plane.ts).

import { spawn } from 'node:child_process';

/** How much of a program's error output a failure quotes, in characters. */
const quotedOutput = 4000;

/** What went wrong and what the reader can do about it, in one message. */
export class ClusterError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ClusterError';
  }
}

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Called with each line the program writes to its standard output or error. */
  readonly onLine?: (line: string) => void;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end and returns its exit code, whatever it is. Throws ClusterError when the program cannot be started. */
export async function attempt(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (options.onLine !== undefined) text.split('\n').filter(Boolean).forEach(options.onLine);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      if (options.onLine !== undefined) text.split('\n').filter(Boolean).forEach(options.onLine);
    });
    child.on('error', (error) => {
      reject(new ClusterError(`${program} cannot be started: ${error.message}`, error));
    });
    child.on('close', (code, signal) => {
      resolve({ code: code ?? (signal === null ? 1 : 128), stdout, stderr });
    });
    child.stdin?.on('error', () => {
      // A program that does not read its input to the end says by its exit code whether that matters.
    });
    child.stdin?.end(options.input);
  });
}

/** Runs the program and returns its standard output. Throws ClusterError when it fails. */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await attempt(program, args, options);
  if (result.code === 0) return result.stdout;
  const said = (result.stderr.trim() === '' ? result.stdout : result.stderr).trim().slice(-quotedOutput);
  throw new ClusterError(`\`${[program, ...args].join(' ')}\` failed with exit code ${String(result.code)}:\n${said}`);
}
