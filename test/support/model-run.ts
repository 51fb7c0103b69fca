/** Runs a program to its end; rejects with what it said where it fails. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What the program wrote to standard output. */
export async function run(command: string, ...args: readonly string[]): Promise<string> {
  return (await execute(command, args)).stdout;
}
