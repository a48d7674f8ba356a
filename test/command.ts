// A program run by `npm test` or `npm run check`: how it ended, how long it took, what it said.
// Output is either shown as it comes, or kept (bounded, the end wins) and written to a file. A signal to its parent is passed on.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

const keptOutputBytes = 1024 * 1024;

export interface CommandResult {
  /** 0 when it went well; 128 + n when a signal ended it, as in a shell. */
  readonly exitCode: number;
  readonly durationMs: number;
  /** The end of what it wrote, at most 1 MiB; empty when it was shown. */
  readonly output: string;
}

export interface CommandOptions {
  /** `show` passes the terminal on; `keep` returns the output. */
  readonly output: 'show' | 'keep';
  /** With `keep`: the whole output also goes here. */
  readonly logFile?: string;
  /** Added to the scheduling priority; 10 leaves the processor to others. */
  readonly nice?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const running = new Set<ReturnType<typeof spawn>>();

/** Passes a signal on to every program that is still running; returns how many there were. */
export function signalRunningCommands(signal: NodeJS.Signals): number {
  for (const child of running) child.kill(signal);
  return running.size;
}

/** Never rejects for what the program does; a program that cannot be started is exit code 127 with the reason as its output. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const startedMs = performance.now();
  const [program, ...rest] = options.nice === undefined ? [command, ...args] : ['nice', '-n', String(options.nice), command, ...args];
  const child = spawn(program, rest, {
    stdio: options.output === 'show' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  running.add(child);
  const log = options.logFile === undefined ? null : createWriteStream(options.logFile);
  let output = '';
  const keep = (chunk: Buffer): void => {
    log?.write(chunk);
    output = (output + chunk.toString('utf8')).slice(-keptOutputBytes);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { exitCode: code ?? (signal === 'SIGINT' ? 130 : 143), durationMs: performance.now() - startedMs, output };
  } catch (error) {
    return { exitCode: 127, durationMs: performance.now() - startedMs, output: error instanceof Error ? error.message : String(error) };
  } finally {
    running.delete(child);
    log?.end();
  }
}
