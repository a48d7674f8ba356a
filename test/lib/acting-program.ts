// A program that plays kubectl, helm or kind: it keeps each command line, and does what a test says.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Target } from '../demo/target.ts';

/** Writes the program `name`. It does what the first matching pattern of a shell's `case` says; otherwise nothing, successfully. */
export async function actingProgram(directory: string, cases: Readonly<Record<string, string>> = {}, name = 'program'): Promise<string> {
  const path = join(directory, name);
  const branches = Object.entries(cases).map(([pattern, does]) => `${pattern}) ${does} ;;`);
  await writeFile(path, ['#!/bin/sh', 'echo "$*" >> "$0.log"', 'case "$*" in', ...branches, 'esac'].join('\n'));
  await chmod(path, 0o755);
  return path;
}

/** The command lines of a program, in order. */
export async function askedOf(program: string): Promise<string[]> {
  return (await readFile(`${program}.log`, 'utf8')).trimEnd().split('\n');
}

/** A cluster behind a context, with the program as its kubectl and its helm. */
export const actingTarget = (program: string): Target => ({
  kind: 'context',
  kubectl: [program],
  helm: [program],
  values: [],
  shell: [],
  down: 'DOWN',
});
