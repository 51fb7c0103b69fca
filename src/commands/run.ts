/**
 * From commander's way of calling to ours, and from whatever was thrown to one line and an exit code.
 */

import { CommanderError, type Command } from 'commander';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { keyOptionsOf } from './unlocking.js';
import { EXIT, type Action, type CommandContext, type ExitCode } from './context.js';

/** What commander has made of the command line: positional arguments in order (variadic ones flattened), options by name. */
export type Runnable<Options> = (context: CommandContext, args: readonly string[], options: Options) => Action;

const outcomes = new WeakMap<CommandContext, ExitCode>();

/** An action handler for commander. Its exit code is kept for `runProgram`. */
export function runs<Options>(context: CommandContext, command: Runnable<Options>): (this: Command) => Promise<void> {
  return async function (this: Command) {
    const positional = this.processedArgs.flat().filter((value): value is string => typeof value === 'string');
    const options = this.opts();
    const keys = keyOptionsOf(context, options);
    outcomes.set(context, await command({ ...context, keys }, positional, options as Options));
  };
}

/** Parses the arguments (without node and script) and runs what they name. Never rejects. */
export async function runProgram(
  program: Command,
  context: CommandContext,
  args: readonly string[],
): Promise<ExitCode> {
  try {
    await program.parseAsync([...args], { from: 'user' });
    return outcomes.get(context) ?? EXIT.ok;
  } catch (error) {
    return report(context, error);
  }
}

/** Prints `vzvault: message (CODE: hint)` and answers the exit code that goes with it. */
function report({ terminal, signal }: CommandContext, thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) {
    // Help and version were printed already.
    if (thrown.exitCode === 0) return EXIT.ok;
    const message = thrown.message.replace(/^error: /, '');
    // Commander shows the help where a command is missing; there is nothing to add to it.
    if (thrown.code !== 'commander.help')
      terminal.err(`vzvault: ${new VzvaultError('E_ARGUMENT_INVALID', message).line}\n`);
    return EXIT.usage;
  }
  const error = toVzvaultError(thrown);
  terminal.err(`vzvault: ${error.line}\n`);
  if (signal.aborted) return EXIT.interrupted;
  return error.code === 'E_ARGUMENT_INVALID' ? EXIT.usage : EXIT.error;
}
